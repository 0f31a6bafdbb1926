"""Calls everything that the compiled module binds, with arguments that may be anything.

    python fuzz_bindings.py MODULE N_CALLS SEED

MODULE is the path of a built `_core`, by itself or with a sanitizer. Whatever is handed in, a call
returns or raises: it never ends the process, nor reads what is not its own. The last line printed
is "N calls: R returned, E raised". The one exception is `mpi_communicator`, which takes handles of
a running MPI and cannot tell them from numbers.
"""

import importlib.util
import inspect
import random
import re
import sys
import types
import warnings

import numpy as np

NOT_CALLED = {"mpi_communicator"}
PARAMETER = re.compile(r"(\w+): (.+?)(?: = .+)?$")
INTEGERS = (0, 1, 2, 3, 4, 7, 64, -1, 2**31, 2**32, 2**40, 2**62, 2**63, 2**64 - 1)
NUMBERS = (0.0, 1.0, 0.5, -1.0, 1e-300, 1e300, np.inf, -np.inf, np.nan, 3)
ANYTHING = (None, "text", b"bytes", 3.5, -2, [], {}, (1, 2), object(), np.zeros(3), "0" * 40)


def load(path):
    """The module at `path`, without the package around it."""
    errors = types.ModuleType("numpygeons.errors")
    for name in ("NumericalError", "ReproducibilityError", "CommunicationError"):
        setattr(errors, name, type(name, (Exception,), {}))
    sys.modules.setdefault("numpygeons", types.ModuleType("numpygeons"))
    sys.modules.setdefault("numpygeons.errors", errors)
    spec = importlib.util.spec_from_file_location("_core", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def split(text):
    """The parts between commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def parameters(function):
    """(name, type as text) of each, from what pybind11 writes into the docstring."""
    head = (function.__doc__ or "").splitlines()[0] if function.__doc__ else ""
    inside = head[head.find("(") + 1 : head.rfind(")")] if "(" in head else ""
    found = []
    for part in split(inside):
        match = PARAMETER.match(part)
        if match and match[1] != "self":
            found.append((match[1], match[2]))
    return found


class Fuzz:
    def __init__(self, module, seed):
        self.module, self.random = module, random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.made = {}  # objects by the name of their class, to be handed in again
        self.returned = self.raised = 0
        self.functions = list(self.found(module))

    def found(self, place):
        for name, value in vars(place).items():
            if inspect.ismodule(value):
                yield from self.found(value)
            elif inspect.isclass(value) or (callable(value) and name not in NOT_CALLED):
                yield value

    def shape(self):
        if self.random.random() < 0.8:
            n, c, d = self.sizes
            return self.random.choice(
                [(c,), (n, c), (c, d), (c, 2, d), (n,), (c - 1,), (c, 2, d, d)]
            )
        return tuple(self.random.randint(0, 4) for _ in range(self.random.randint(0, 4)))

    def array(self, name, text):
        c = self.sizes[1]
        if "beta" in name and self.random.random() < 0.8:
            return np.linspace(0, 1, c)
        if name == "replicas" and self.random.random() < 0.8:
            return np.array([self.numpy.permutation(c) for _ in range(self.sizes[0])])
        if name == "chains" and self.random.random() < 0.6:
            return self.numpy.permutation(c)
        if name in ("v", "influence") and self.random.random() < 0.8:
            a = self.numpy.normal(size=self.sizes[:2])
        elif "int" in text:
            return self.numpy.integers(0, 5, size=self.shape())
        elif name in ("scale", "counts", "weights", "steps") or self.random.random() < 0.3:
            a = self.numpy.uniform(size=self.shape())
        else:
            a = self.numpy.normal(size=self.shape())
        if a.size and self.random.random() < 0.15:
            a.flat[self.random.randrange(a.size)] = self.random.choice(NUMBERS)
        return a

    def argument(self, name, text):
        if self.random.random() < 0.03:
            return self.random.choice(ANYTHING)
        if name == "dtype":
            return self.random.choice(("float32", np.float64, np.dtype("float64"), "int8"))
        if "ArrayLike" in text or "ndarray" in text:
            return self.array(name, text)
        for kind, objects in self.made.items():
            if kind in text and objects and self.random.random() < 0.9:
                one = self.random.choice(objects)
                return [one] if "Sequence" in text or "list" in text else one
        if "Callable" in text or name == "explore":
            return self.explore
        if "Purpose" in text:
            return self.random.choice(list(self.module.random.Purpose.__members__.values()))
        if "bool" in text:
            return self.random.random() < 0.5
        if "float" in text and "int" not in text:
            return self.random.choice(NUMBERS)
        if "SupportsFloat" in text:
            return self.random.choice(NUMBERS)
        if "int" in text or "SupportsIndex" in text:
            if name == "n_workers":  # more would wait for threads that nobody starts
                return 1
            if (
                "steps" in name or name == "n_points"
            ):  # a loop of so many steps is what was asked for
                return self.random.randint(0, 9)
            if self.random.random() < 0.7:
                return self.random.choice((*self.sizes, 0, 1))
            if name in ("n", "n_rows"):  # memory for so many is what was asked for
                return self.random.choice([k for k in INTEGERS if not 2**20 < k < 2**40])
            return self.random.choice(INTEGERS)
        if "str" in text:
            return self.random.choice(("", "text"))
        if "Sequence" in text or "list" in text or "tuple" in text:
            return [self.random.choice(INTEGERS) for _ in range(self.random.randint(0, 4))]
        return self.random.choice(ANYTHING)

    def explore(self, *given):
        """A replica explorer, now and then with a wrong shape or an error."""
        n = max(self.sizes[1], 2)
        if self.random.random() < 0.1:
            raise RuntimeError("explore failed")
        rows = n if self.random.random() < 0.9 else self.random.randint(0, 3)
        size, d = (rows,), self.sizes[2]
        return (
            self.numpy.normal(size=(rows, d)),
            np.zeros(size),
            np.zeros(size),
            np.zeros((rows, 1)),
        )

    def call(self):
        self.sizes = self.random.choice([(5, 3, 2), (70, 4, 1), (1, 1, 1), (8, 2, 3)])
        if self.random.random() < 0.5 and (objects := [o for k in self.made.values() for o in k]):
            owner = self.random.choice(objects)
            names = [n for n in dir(type(owner)) if not n.startswith("__")]
            name = self.random.choice(names)
            member = getattr(type(owner), name)
            if isinstance(member, property):
                self.run(lambda: getattr(owner, name))
                if member.fset is not None and self.random.random() < 0.5:
                    value = self.array(name, "int")
                    self.run(lambda: setattr(owner, name, value))
                return
            function, bound = member, [owner]
        else:
            function, bound = self.random.choice(self.functions), []
        made = function.__init__ if inspect.isclass(function) else function
        arguments = {name: self.argument(name, text) for name, text in parameters(made)}
        if self.random.random() < 0.02 and arguments:
            arguments.pop(self.random.choice(list(arguments)))
        result = self.run(lambda: function(*bound, **arguments))
        kind = type(result).__name__
        if getattr(self.module, "__name__", "_core") in type(result).__module__ or kind in (
            "Coordinator", "RoundData", "UnfinishedRound", "RoundEvidence", "Proposals",
        ):  # fmt: skip
            self.made.setdefault(kind, []).append(result)
            self.made[kind] = self.made[kind][-6:]

    def sound(self):
        """Objects as a run makes them, and a round under way, so that later calls get further."""
        core, (n, c, d) = self.module, self.random.choice([(5, 3, 2), (8, 2, 3)])
        self.sizes = n, c, d
        coordinator = core.engine.Coordinator(
            seed=1, n_chains=c, dimension=d, n_normals=1, n_uniforms=1, n_statistics=1,
            hands_out_keys=self.random.random() < 0.5, n_snapshots=self.random.choice((0, 2)),
        )  # fmt: skip
        self.made.setdefault("Coordinator", []).append(coordinator)
        coordinator.begin_round(
            round=1, n_scans=n, betas=np.linspace(0, 1, c), centre=np.zeros((c, d)),
            scale=np.ones((c, d)), real_bytes=8, most_draws=n,
        )  # fmt: skip
        v = self.numpy.normal(size=(n, c))
        replicas = np.array([self.numpy.permutation(c) for _ in range(n)])
        evidence = core.evidence.round_evidence(v, replicas, np.linspace(0, 1, c))
        self.made.setdefault("RoundEvidence", []).append(evidence)

    def run(self, call):
        try:
            result = call()
        except Exception:  # what it is, the tests of each function say
            self.raised += 1
            return None
        self.returned += 1
        return result


def main(path, n_calls, seed):
    warnings.simplefilter("ignore")  # NumPy's, of numbers that overflow
    fuzz = Fuzz(load(path), seed)
    for k in range(n_calls):
        if k % 50 == 0:
            fuzz.sound()
        fuzz.call()
    print(f"{n_calls} calls: {fuzz.returned} returned, {fuzz.raised} raised")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
