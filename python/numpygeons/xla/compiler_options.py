"""Compiles with the options that this version of XLA knows, and never with fusions that are wrong.

In jaxlib 0.10.2 XLA gives products, and sums over what follows them, to a library of kernels (YNN)
that computes some of them wrongly on the CPU: a batch times a matrix whose entries are all equal,
or more than 32,768 rows times any matrix (jax-ml/jax issue 39103). The fusions that go there are
an option, and no program of ours has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import jax

RIGHT_NUMBERS: dict[str, Any] = {"xla_cpu_experimental_ynn_fusion_type": ""}
_REFUSED: set[tuple[str, str]] = set()  # names and values that the XLA at hand does not know


def compile_with(lowered: Any, options: dict[str, Any]) -> Callable[..., Any]:
    """Compile a traced program with the options that this version of XLA knows.

    They come and go between versions, and so do their values; apart from those of `RIGHT_NUMBERS`,
    which every program has, they change speed alone.
    """
    return _compiled(lowered, options)[0]


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Apply `jax.jit`, for functions whose numbers matter."""
    return jax.jit(function, compiler_options=_known_right_numbers())


@cache
def _known_right_numbers() -> dict[str, Any]:
    return _compiled(jax.jit(lambda: 0).lower(), {})[1]


def _compiled(lowered: Any, options: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the program and the options that were known."""
    options = {
        name: value
        for name, value in (RIGHT_NUMBERS | options).items()
        if (name, str(value)) not in _REFUSED
    }
    while True:
        try:
            return lowered.compile(compiler_options=options), options
        except jax.errors.JaxRuntimeError as error:
            refused = [name for name in options if re.search(rf"option:? '?{name}\b", str(error))]
            if not refused:
                raise
            name = refused[0]
            _REFUSED.add((name, str(options.pop(name))))
