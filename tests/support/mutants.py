"""Makes mutants: a module of the package with one expression replaced, to be caught by a test."""

import importlib.util
import inspect
import itertools
import sys

from numpygeons.explorers import auto_step, leapfrog

_NUMBERS = itertools.count()


def mutant(module, old, new):
    """A copy of `module` in which `new` stands for `old`, which must occur exactly once."""
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise AssertionError(
            f"{module.__name__} holds {source.count(old)} times {old!r}, wanted once: write the "
            "mutant anew for the code as it is now"
        )
    name = f"mutant_{next(_NUMBERS)}_of_{module.__name__.replace('.', '_')}"
    copy = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
    sys.modules[name] = copy  # dataclasses look their module up
    exec(compile(source.replace(old, new), f"<{name}>", "exec"), copy.__dict__)
    return copy


def auto_mala_of(search=auto_step, dynamics=leapfrog):
    """AutoMALA made of these two modules, either of which may be a mutant."""

    class Mutant(search.AutoStep):
        def _trial(self, *arguments):
            return dynamics.leapfrog(*arguments)

    return Mutant
