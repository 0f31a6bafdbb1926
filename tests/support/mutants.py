"""Makes mutants: a module of the package with one expression replaced, to be caught by a test."""

import importlib.util
import inspect
import itertools
import sys

from numpygeons.explorers import auto_step, hmc, leapfrog, trajectory

_NUMBERS = itertools.count()


def mutant(module, old, new):
    """A copy of `module` in which `new` stands for `old`, which must occur exactly once."""
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise AssertionError(
            f"{module.__name__} holds {source.count(old)} times {old!r}, wanted once: write the "
            "mutant anew for the code as it is now"
        )
    return _executed(module, source.replace(old, new))


def _executed(module, source):
    name = f"mutant_{next(_NUMBERS)}_of_{module.__name__.replace('.', '_')}"
    copy = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
    sys.modules[name] = copy  # dataclasses look their module up
    exec(compile(source, f"<{name}>", "exec"), copy.__dict__)
    return copy


def hmc_of(old, new):
    """The module `hmc`, whose trajectories are a mutant's."""
    copy = _executed(hmc, inspect.getsource(hmc))
    other = mutant(trajectory, old, new)
    copy.plain_walk, copy.mixed_walk = other.plain_walk, other.mixed_walk
    return copy


def auto_mala_of(search=auto_step, dynamics=leapfrog):
    """AutoMALA made of these two modules, either of which may be a mutant."""

    class Mutant(search.AutoStep):
        def _trial(self, *arguments):
            return dynamics.leapfrog(*arguments)

    return Mutant
