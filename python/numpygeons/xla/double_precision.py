"""Computes traced functions in double precision, by NumPy, without compiling them.

A program of XLA takes a second to compile, and is not worth it for a few hundred numbers computed
once in a run. Constants and literals keep the values that they have in the traced function: what
changes is the arithmetic alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.extend.core import Literal

from numpygeons.xla.jaxprs import bind, read

Values = npt.NDArray[Any]


MOST_EQUATIONS = 100_000  # computed one after the other; a few tenths of a second


class NotInDouble(Exception):
    """A function that cannot be computed again in double precision, and why."""


def in_double_precision(traced: Any, *arguments: Values) -> list[Values]:
    """Return the results of a traced function of single-precision arrays, computed in double
    precision.

    Raises
    ------
    NotInDouble
        Where it calls back to Python, looks at the bits of its numbers, or is too long.
    """
    with np.errstate(all="ignore"):
        return _Run().run(traced, [_widened(argument) for argument in arguments])


class _Run:
    """One evaluation, which counts its equations."""

    def __init__(self) -> None:
        self._left = MOST_EQUATIONS

    def run(self, traced: Any, arguments: Sequence[Any]) -> list[Values]:
        jaxpr = getattr(traced, "jaxpr", traced)
        known = dict(
            zip(jaxpr.constvars, map(_widened, getattr(traced, "consts", ())), strict=True)
        )
        known.update(zip(jaxpr.invars, arguments, strict=True))
        for equation in jaxpr.eqns:
            self._left -= 1
            if self._left < 0:
                raise NotInDouble(f"it has more than {MOST_EQUATIONS} equations")
            operands = [
                _widened(atom.val) if isinstance(atom, Literal) else known[atom]
                for atom in equation.invars
            ]
            known.update(zip(equation.outvars, self._results(equation, operands), strict=True))
        return [_widened(read(known, atom)) for atom in jaxpr.outvars]

    def _results(self, equation: Any, operands: list[Values]) -> list[Values]:
        name, params = equation.primitive.name, equation.params
        if name in NUMBERWISE:
            return [np.asarray(NUMBERWISE[name](*operands))]
        if name in SPECIAL:
            from scipy import special  # not before it is needed

            return [np.asarray(getattr(special, SPECIAL[name])(*operands))]
        if name in SHAPED:
            return [np.asarray(SHAPED[name](params, *operands))]
        if name == "scan":
            return self._scan(equation, operands)
        if name == "while":
            return self._while(params, operands)
        if name == "cond":
            index = int(np.clip(operands[0], 0, len(params["branches"]) - 1))
            return self.run(params["branches"][index], operands[1:])
        if "callback" in name or name == "bitcast_convert_type" or equation.effects:
            raise NotInDouble(f"it uses {name}")
        for inner in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
            if inner in params:
                return self.run(params[inner], operands)
        return _by_jax(equation, operands)

    def _while(self, params: Any, operands: list[Values]) -> list[Values]:
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        of_cond, of_body = operands[:n_cond], operands[n_cond : n_cond + n_body]
        carry = operands[n_cond + n_body :]
        while True:
            (goes_on,) = self.run(params["cond_jaxpr"], [*of_cond, *carry])
            if not goes_on.any():
                return carry
            after = self.run(params["body_jaxpr"], [*of_body, *carry])
            carry = [  # of a batch, those that have ended stay
                np.where(
                    goes_on.reshape(goes_on.shape + (1,) * (new.ndim - goes_on.ndim)), new, old
                )
                if goes_on.ndim
                else new
                for new, old in zip(after, carry, strict=True)
            ]

    def _scan(self, equation: Any, operands: list[Values]) -> list[Values]:
        params, body = equation.params, equation.params["jaxpr"]
        body = getattr(body, "jaxpr", body)
        # How many are constants and carried has other names in other versions of JAX; the
        # sequences are those with an axis more outside of the body.
        n_carry = len(body.outvars) - _n_sequences(equation.outvars, body.outvars)
        n_before = len(operands) - _n_sequences(equation.invars, body.invars)
        n_consts = n_before - n_carry
        constants = operands[:n_consts]
        carry, sequences = operands[n_consts:n_before], operands[n_before:]
        steps = range(params["length"])
        made: list[list[Values]] = []
        for step in reversed(steps) if params["reverse"] else steps:
            at_step = [xs[step] for xs in sequences]
            results = self.run(params["jaxpr"], [*constants, *carry, *at_step])
            carry = results[:n_carry]
            made.append(results[n_carry:])
        if params["reverse"]:
            made.reverse()
        if not made:
            return [*carry, *(np.zeros(atom.aval.shape) for atom in equation.outvars[n_carry:])]
        return [*carry, *(np.stack(column) for column in zip(*made, strict=True))]


def _n_sequences(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    return sum(a.aval.ndim > b.aval.ndim for a, b in zip(outside, inside, strict=True))


def _by_jax(equation: Any, operands: list[Values]) -> list[Values]:
    """Compute what NumPy has no name for: each such equation is compiled by itself."""
    params = {
        key: _wide(value) if "dtype" in key or "element_type" in key else value
        for key, value in equation.params.items()
    }
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        arrays = [jax.numpy.asarray(operand) for operand in operands]
        scatter = SCATTERS.get(equation.primitive.name)
        if scatter is not None:  # which holds its addition as a function of single precision
            own = ("dimension_numbers", "indices_are_sorted", "unique_indices", "mode")
            return [np.asarray(scatter(*arrays, **{key: params[key] for key in own}))]
        return [np.asarray(result) for result in bind(equation, arrays, params)]


def _widened(value: Any) -> Values:
    array: Values = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind == "f" or _is_half(array) else array


def _is_half(value: Values) -> bool:
    return value.dtype.name in ("bfloat16", "float16")


def _wide(dtype: Any) -> Any:
    if dtype is not None and jax.numpy.issubdtype(dtype, np.floating):
        return np.dtype(np.float64)
    return dtype


# ------------------------------------------------------------------------------- one by one


def _select(which: Values, *cases: Values) -> Values:
    if which.dtype == np.bool_:
        return np.where(which, cases[1], cases[0])
    return np.choose(which, cases)


def _logistic(x: Values) -> Values:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _divided(a: Values, b: Values) -> Values:
    if a.dtype.kind == "f":
        return np.divide(a, b)
    return np.trunc(a / np.where(b == 0, 1, b)).astype(a.dtype)


def _rounded(params: Any, x: Values) -> Any:
    if int(params["rounding_method"]) == 1:
        return np.round(x)
    return np.trunc(x + np.copysign(0.5, x))


NUMBERWISE: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.bitwise_and,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "ceil": np.ceil,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "copy": np.copy,
    "copy_p": np.copy,
    "cos": np.cos,
    "cosh": np.cosh,
    "div": _divided,
    "eq": np.equal,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": _logistic,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "pow": np.power,
    "rem": np.fmod,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "select_n": _select,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "stop_gradient": np.copy,
    "sub": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
    "xor": np.bitwise_xor,
}
SCATTERS: dict[str, Callable[..., Any]] = {
    "scatter": jax.lax.scatter,
    "scatter-add": jax.lax.scatter_add,
    "scatter_add": jax.lax.scatter_add,
    "scatter_max": jax.lax.scatter_max,
    "scatter_min": jax.lax.scatter_min,
    "scatter_mul": jax.lax.scatter_mul,
}
SPECIAL = {  # of SciPy
    "cbrt": "cbrt",
    "digamma": "digamma",
    "erf": "erf",
    "erf_inv": "erfinv",
    "erfc": "erfc",
    "igamma": "gammainc",
    "igammac": "gammaincc",
    "lgamma": "gammaln",
    "regularized_incomplete_beta": "betainc",
    "bessel_i0e": "i0e",
    "bessel_i1e": "i1e",
}


# ------------------------------------------------------------------------------ whole arrays


def _converted(params: Any, x: Values) -> Values:
    return x.astype(_wide(params["new_dtype"]))


def _broadcast(params: Any, x: Values, *_: Values) -> Values:
    shape = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _cumulated(function: Callable[..., Any]) -> Callable[..., Values]:
    def cumulate(params: Any, x: Values) -> Values:
        axis = params["axis"]
        if params["reverse"]:
            return np.asarray(np.flip(function(np.flip(x, axis), axis=axis), axis))
        return np.asarray(function(x, axis=axis))

    return cumulate


def _reduced(function: Callable[..., Any]) -> Callable[..., Values]:
    return lambda params, x: np.asarray(function(x, axis=tuple(params["axes"])))


def _iota(params: Any) -> Values:
    shape = [1] * len(params["shape"])
    shape[params["dimension"]] = -1
    counted = np.arange(params["shape"][params["dimension"]], dtype=_wide(params["dtype"]))
    return np.broadcast_to(counted.reshape(shape), params["shape"])


def _sliced(params: Any, x: Values) -> Any:
    strides = params["strides"] or (1,) * x.ndim
    ranges = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return x[tuple(slice(start, limit, stride) for start, limit, stride in ranges)]


def _dynamically_sliced(params: Any, x: Values, *starts: Values) -> Any:
    sizes = params["slice_sizes"]
    bounds = zip(starts, sizes, x.shape, strict=True)
    firsts = [int(np.clip(start, 0, whole - size)) for start, size, whole in bounds]
    return x[tuple(slice(first, first + size) for first, size in zip(firsts, sizes, strict=True))]


def _product(params: Any, a: Values, b: Values) -> Any:
    (of_a, of_b), (batch_a, batch_b) = params["dimension_numbers"]
    free_a = [axis for axis in range(a.ndim) if axis not in (*of_a, *batch_a)]
    free_b = [axis for axis in range(b.ndim) if axis not in (*of_b, *batch_b)]
    batch = [a.shape[axis] for axis in batch_a]
    shared = int(np.prod([a.shape[axis] for axis in of_a], dtype=int))
    shape_a, shape_b = [a.shape[axis] for axis in free_a], [b.shape[axis] for axis in free_b]
    left = a.transpose(*batch_a, *free_a, *of_a).reshape(*batch, -1 if a.size else 0, shared)
    right = b.transpose(*batch_b, *of_b, *free_b).reshape(*batch, shared, -1 if b.size else 0)
    return np.matmul(left, right).reshape(*batch, *shape_a, *shape_b)


SHAPED: dict[str, Callable[..., Any]] = {
    "argmax": lambda p, x: np.argmax(x, axis=p["axes"][0]).astype(p["index_dtype"]),
    "argmin": lambda p, x: np.argmin(x, axis=p["axes"][0]).astype(p["index_dtype"]),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda p, *xs: np.concatenate(xs, axis=p["dimension"]),
    "convert_element_type": _converted,
    "cumlogsumexp": _cumulated(np.logaddexp.accumulate),
    "cummax": _cumulated(np.maximum.accumulate),
    "cummin": _cumulated(np.minimum.accumulate),
    "cumprod": _cumulated(np.cumprod),
    "cumsum": _cumulated(np.cumsum),
    "dot_general": _product,
    "dynamic_slice": _dynamically_sliced,
    "expand_dims": lambda p, x: np.expand_dims(x, p["dimensions"]),
    "integer_pow": lambda p, x: x ** p["y"] if p["y"] >= 0 else 1 / x ** -p["y"],
    "iota": _iota,
    "reduce_and": _reduced(np.all),
    "reduce_max": _reduced(np.max),
    "reduce_min": _reduced(np.min),
    "reduce_or": _reduced(np.any),
    "reduce_precision": lambda _, x: x,
    "reduce_prod": _reduced(np.prod),
    "reduce_sum": _reduced(np.sum),
    "reshape": lambda p, x: np.reshape(x, p["new_sizes"]),
    "rev": lambda p, x: np.flip(x, p["dimensions"]),
    "round": _rounded,
    "slice": _sliced,
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: np.transpose(x, p["permutation"]),
}
