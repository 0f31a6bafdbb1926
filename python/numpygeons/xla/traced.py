"""Trace a function once and take from it the parts that are needed.

A NumPyro model is Python: running it costs milliseconds per site, and one run yields the log
prior, the log likelihood, the constrained values and more.  So it is run once, and each
function of a path replays the part of the recorded program that its own result needs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr

from numpygeons.xla.compiler_options import jit
from numpygeons.xla.precision import full_products


class Traced:
    """The recorded program of a function that returns a dictionary of pytrees of arrays.

    Parameters
    ----------
    function : callable
        JAX-traceable; its arguments are single arrays.
    *arguments : array or jax.ShapeDtypeStruct
        One per argument of ``function``; only shapes and dtypes matter.
    rewrite : callable, optional
        From the recorded program to an equivalent one, which is kept in its place.
    """

    def __init__(
        self,
        function: Callable[..., dict[str, Any]],
        *arguments: Any,
        rewrite: Callable[[Any], Any] = lambda program: program,
    ) -> None:
        with full_products():
            program, self.shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        self.program = rewrite(program)

    def part(self, name: str) -> Callable[..., Any]:
        """Return the function of the same arguments that computes output `name` alone."""
        run, used = self._reduced(self._mask(name))
        tree = jax.tree.structure(self.shapes[name])

        def evaluate(*arguments: Any) -> Any:
            needed = [a for a, keep in zip(arguments, used, strict=True) if keep]
            return jax.tree.unflatten(tree, run(*needed))

        return evaluate

    def constants(self, name: str) -> Any:
        """Return output `name` as NumPy arrays; None for each leaf that an argument influences."""
        mask = self._mask(name)
        fixed = self._fixed(mask)
        run, _ = self._reduced(fixed)
        values = iter(jax.device_get(jit(run)()) if any(fixed) else ())
        leaves = [
            np.asarray(next(values)) if constant else None
            for wanted, constant in zip(mask, fixed, strict=True)
            if wanted
        ]
        return jax.tree.unflatten(jax.tree.structure(self.shapes[name]), leaves)

    def varies(self, name: str) -> Any:
        """Return output `name` with, for each leaf, whether an argument influences it."""
        mask = self._mask(name)
        pairs = zip(mask, self._fixed(mask), strict=True)
        leaves = [not constant for wanted, constant in pairs if wanted]
        return jax.tree.unflatten(jax.tree.structure(self.shapes[name]), leaves)

    def rewritten(self, rewrite: Callable[[Any], Any]) -> Traced:
        """Return the same functions, from an equivalent program."""
        other = copy.copy(self)
        other.program = rewrite(self.program)
        return other

    def reduced(self, name: str, index: int | None = None) -> ClosedJaxpr:
        """Return the program of output `name` alone, or of its leaf `index`."""
        mask = self._mask(name)
        if index is not None:
            first = mask.index(True)
            mask = [position == first + index for position in range(len(mask))]
        return ClosedJaxpr(dce_jaxpr(self.program.jaxpr, mask)[0], self.program.consts)

    def _fixed(self, mask: list[bool]) -> list[bool]:
        fixed = [False] * len(mask)
        for index, wanted in enumerate(mask):
            if wanted:
                only = [position == index for position in range(len(mask))]
                fixed[index] = not any(self._reduced(only)[1])
        return fixed

    def _mask(self, name: str) -> list[bool]:
        marked = {
            key: jax.tree.map(lambda _, chosen=key == name: chosen, part)
            for key, part in self.shapes.items()
        }
        return jax.tree.leaves(marked)

    def _reduced(self, mask: list[bool]) -> tuple[Callable[..., list[Any]], list[bool]]:
        jaxpr, used = dce_jaxpr(self.program.jaxpr, mask)
        return jaxpr_as_fun(ClosedJaxpr(jaxpr, self.program.consts)), used
