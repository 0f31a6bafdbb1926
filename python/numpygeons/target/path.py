"""Turn a target into the pair (log gamma_0, V), exact reference draws and the map back.

Everything here speaks of one flat vector ``x`` of shape ``(dimension,)`` in unconstrained
space: the sites of the model in the order in which the model meets them, each raveled in C
order (for a `JaxTarget`, the leaves of the pytree in JAX's order).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons.arrays import Array
from numpygeons.errors import warn_user
from numpygeons.target.flat_layout import FlatLayout, default_float
from numpygeons.target.model.failures import explaining_function
from numpygeons.target.model.field_order import ordered_fields
from numpygeons.target.model.program import default_key, trace_model, typed_key
from numpygeons.target.model.purity import changed_functions, recorded_twice
from numpygeons.target.rewriting.program import rewritten
from numpygeons.xla.garbage import paused_collector
from numpygeons.xla.numpy_arrays import read_arrays_anew
from numpygeons.xla.one_thread import one_thread
from numpygeons.xla.traced import Traced


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class NumPyroPath:
    """A NumPyro model with its arguments, as a target.

    Parameters
    ----------
    model : callable
        A function with NumPyro primitives, handlers around it included.
    model_args : tuple
        Positional arguments of the model.
    model_kwargs : dict, optional
        Keyword arguments of the model.

    Notes
    -----
    NumPy arrays among the arguments are copied: what is done to them later does not show.

    Examples
    --------
    >>> import numpyro, numpyro.distributions as dist
    >>> from numpygeons.target.path import NumPyroPath, as_path
    >>> def coin(heads):
    ...     p = numpyro.sample("p", dist.Uniform(0, 1))
    ...     numpyro.sample("heads", dist.Binomial(10, p), obs=heads)
    >>> as_path(NumPyroPath(coin, (7,))).coordinate_names
    ['p']
    """

    model: Callable[..., Any]
    model_args: tuple[Any, ...] = ()
    model_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not callable(self.model):
            raise TypeError(
                f"model must be a function with NumPyro primitives, got "
                f"{type(self.model).__name__}; pass the function itself, not what it returns"
            )
        if not isinstance(self.model_args, tuple | list):
            raise TypeError(
                f"model_args must be a tuple, got {type(self.model_args).__name__}; for a single "
                "argument write model_args=(data,)"
            )
        if self.model_kwargs is not None and not (
            isinstance(self.model_kwargs, Mapping)
            and all(isinstance(key, str) for key in self.model_kwargs)
        ):
            raise TypeError(
                "model_kwargs must be a dict from argument names to values, got "
                f"{type(self.model_kwargs).__name__}; for instance model_kwargs={{'y': data}}"
            )
        for name in ("model_args", "model_kwargs"):
            object.__setattr__(self, name, _with_own_arrays(getattr(self, name)))


def _with_own_arrays(value: Any) -> Any:
    """Copy the NumPy arrays in tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (tuple, list):
        return type(value)(map(_with_own_arrays, value))
    if type(value) is dict:
        return {key: _with_own_arrays(part) for key, part in value.items()}
    return value


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class JaxTarget:
    """A target given by JAX functions of one pytree in unconstrained space.

    Parameters
    ----------
    log_reference : callable
        Pytree to scalar: log density of the reference; need not be normalised.
    log_target : callable
        Pytree to scalar: log density of the target, up to a constant.
    sample_reference : callable
        JAX key to pytree: an exact draw from the reference.
    initial : callable, optional
        JAX key to pytree: where replicas start, if not at draws from the reference.

    Notes
    -----
    V = log_target - log_reference; where both are -inf, V = -inf.  All leaves are floating; the
    constrained values are the leaves themselves, by name: dictionary keys joined by ``/``, and
    ``x`` for a bare array.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from numpygeons.target.path import JaxTarget, as_path
    >>> target = JaxTarget(
    ...     log_reference=lambda x: -0.5 * jnp.sum(x**2),
    ...     log_target=lambda x: -2.0 * jnp.sum(x**2),
    ...     sample_reference=lambda key: jax.random.normal(key, (2,)),
    ... )
    >>> path = as_path(target)
    >>> path.coordinate_names
    ['x[0]', 'x[1]']
    >>> float(path.v(jnp.array([1.0, 0.0])))
    -1.5
    """

    log_reference: Callable[[Any], Any]
    log_target: Callable[[Any], Any]
    sample_reference: Callable[[Any], Any]
    initial: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("log_reference", "log_target", "sample_reference", "initial"):
            function = getattr(self, name)
            if not callable(function) and not (name == "initial" and function is None):
                wanted = "a JAX key" if name in ("sample_reference", "initial") else "one pytree"
                raise TypeError(
                    f"{name} must be a function of {wanted}, got {type(function).__name__}"
                )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TemperedPath:
    """What tempering needs of a target: log gamma_0, V, exact reference draws, the map back.

    All functions take one flat vector ``x`` of shape ``(dimension,)`` and dtype `dtype` in
    unconstrained space, and can be jitted, batched and differentiated.  None is jitted yet.

    Attributes
    ----------
    dimension : int
        Number of unconstrained coordinates, at least 1.
    dtype : numpy.dtype
        float32 or float64: JAX's default when the path was made.
    log_reference : callable
        x to log gamma_0, a scalar; for a model log prior + log|det J|.
    v : callable
        x to V = log gamma_1 - log gamma_0, a scalar; for a model the log likelihood.  May be
        -inf, and NaN is left as it is.
    log_pair : callable
        x to (log gamma_0, V), what they share computed once.
    sample_reference : callable
        A JAX key (typed or raw) to an exact draw x.  A coordinate may be non-finite where a
        draw lies on the edge of its support in floating point.
    constrain : callable
        x to every latent and deterministic site in constrained space, by name.
    unconstrain : callable
        The values of all latents, constrained, by name, to x.
    log_likelihood : callable
        x to the pointwise log likelihood of each observed site, scale and mask honoured; its
        sum is V.  Empty for a `JaxTarget`.
    unflatten : callable
        x to the unconstrained values of each latent, by name.
    coordinate_names : list of str
        For instance ``["mu", "theta[0]", "theta[1]"]``.
    dims, coords : dict
        Names of the axes of every site, and the coordinates of the plates, as ArviZ wants them.
    observed : tuple of str
        Observed sites and factors.
    initial : callable or None
        A JAX key to a starting x; None means draws from the reference.
    reference_is_normalised : bool
        Whether gamma_0 integrates to 1, so that log Z is the log evidence.
    programs : dict
        Compiled programs of this path, kept by those who compile them.
    """

    dimension: int
    dtype: np.dtype[Any]
    log_reference: Callable[[Array], Array]
    v: Callable[[Array], Array]
    log_pair: Callable[[Array], tuple[Array, Array]]
    sample_reference: Callable[[Array], Array]
    constrain: Callable[[Array], dict[str, Array]]
    unconstrain: Callable[[Mapping[str, Any]], Array]
    log_likelihood: Callable[[Array], dict[str, Array]]
    unflatten: Callable[[Array], dict[str, Array]]
    coordinate_names: list[str]
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    coords: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    observed: tuple[str, ...] = ()
    initial: Callable[[Array], Array] | None = None
    reference_is_normalised: bool = True
    programs: dict[Any, Any] = field(default_factory=dict)


# Paths already made of a target, by the float type that JAX had: further runs of the same target
# find its compiled programs.
_PATHS: WeakKeyDictionary[NumPyroPath | JaxTarget, dict[np.dtype[Any], TemperedPath]] = (
    WeakKeyDictionary()
)


@one_thread()
@ordered_fields()
def as_path(
    target: Any,
    model_args: tuple[Any, ...] = (),
    model_kwargs: Mapping[str, Any] | None = None,
) -> TemperedPath:
    """Turn a target into a path.

    Parameters
    ----------
    target : callable, NumPyroPath, JaxTarget or TemperedPath
        A NumPyro model, with its arguments or without.
    model_args, model_kwargs
        Arguments of a bare model.

    Returns
    -------
    TemperedPath

    Raises
    ------
    TypeError
        Not a target; the model cannot be called with these arguments.
    ValueError
        Arguments beside a target that carries its own.
    ModelError
        The model has no proper prior or no fixed likelihood; the message names the site.

    Examples
    --------
    >>> import numpyro, numpyro.distributions as dist
    >>> from numpygeons.target.path import as_path
    >>> def model(y):
    ...     mu = numpyro.sample("mu", dist.Normal(0, 1))
    ...     numpyro.sample("y", dist.Normal(mu, 1), obs=y)
    >>> path = as_path(model, (0.5,))
    >>> path.dimension, path.observed
    (1, ('y',))
    """
    read_arrays_anew()
    if isinstance(target, NumPyroPath | JaxTarget | TemperedPath):
        if len(model_args) or model_kwargs:
            raise ValueError(
                f"model_args and model_kwargs belong to a bare model, but target is a "
                f"{type(target).__name__}, which carries its own"
            )
        if isinstance(target, TemperedPath):
            return target
        made = _PATHS.setdefault(target, {})
        dtype = default_float()
        if dtype not in made:
            if isinstance(target, JaxTarget):
                made[dtype] = _path_of_functions(target)
            else:
                made[dtype] = _path_of_model(target)
        return made[dtype]
    if not callable(target):
        raise TypeError(
            "target must be a NumPyro model (a function), a NumPyroPath or a JaxTarget, got "
            f"{type(target).__name__}"
        )
    return _path_of_model(NumPyroPath(target, model_args, model_kwargs))


# ---------------------------------------------------------------------------- a NumPyro model


def _path_of_model(target: NumPyroPath) -> TemperedPath:
    args, kwargs = tuple(target.model_args), dict(target.model_kwargs or {})
    with paused_collector():
        program = trace_model(target.model, args, kwargs)
    sites, layout = program.sites, program.layout
    dims = {latent.name: latent.dims for latent in sites.latents} | dict(sites.deterministic)
    dims |= {site.name: site.dims for site in sites.observed}
    return TemperedPath(
        dimension=layout.dimension,
        dtype=layout.dtype,
        log_reference=program.evaluated.part("log_reference"),
        v=program.evaluated.part("v"),
        log_pair=program.evaluated.part("log_pair"),
        sample_reference=program.draw,
        constrain=program.constrain(),
        unconstrain=program.unconstrain,
        log_likelihood=program.log_likelihood(),
        unflatten=layout.unflatten,
        coordinate_names=layout.coordinate_names(),
        dims=dims,
        coords={name: np.arange(size) for name, size in sites.plates.items()},
        observed=tuple(site.name for site in sites.observed),
    )


# ------------------------------------------------------------------------------ JAX functions


def _path_of_functions(target: JaxTarget) -> TemperedPath:
    drawn = _shape_of("sample_reference", target.sample_reference, default_key())
    layout, tree = _layout_of(drawn)

    def tree_of(x: Array) -> Any:
        return jax.tree.unflatten(tree, list(layout.unflatten(x).values()))

    def flat_of(state: Any) -> Array:
        return layout.flatten(dict(zip(layout.names, jax.tree.leaves(state), strict=True)))

    for name in ("log_reference", "log_target"):
        _check_scalar(name, _shape_of(name, getattr(target, name), drawn))
    initial = None
    if target.initial is not None:
        start = _shape_of("initial", target.initial, default_key())
        if _outline(start) != _outline(drawn):
            raise ValueError(
                "initial must return the same pytree as sample_reference: got "
                f"{_outline(start)}, wanted {_outline(drawn)}"
            )
        user_initial = target.initial
        initial = lambda key: flat_of(user_initial(typed_key(key)))  # noqa: E731

    def log_pair(x: Array) -> tuple[Array, Array]:
        reference = jnp.asarray(target.log_reference(tree_of(x)), layout.dtype)
        goal = jnp.asarray(target.log_target(tree_of(x)), layout.dtype)
        outside = jnp.isneginf(reference) & jnp.isneginf(goal)
        difference = jnp.where(outside, 0.0, goal) - jnp.where(outside, 0.0, reference)
        return reference, jnp.where(outside, -jnp.inf, difference)

    def parts(x: Array) -> dict[str, Any]:
        pair = log_pair(x)
        return {"log_reference": pair[0], "v": pair[1], "log_pair": pair}

    x = jnp.zeros(layout.dimension, layout.dtype)
    both = recorded_twice(lambda: Traced(lambda x: parts(x), x))
    for remark in changed_functions(both):
        warn_user(remark)
    evaluated = both.first.rewritten(rewritten)
    return TemperedPath(
        dimension=layout.dimension,
        dtype=layout.dtype,
        log_reference=evaluated.part("log_reference"),
        v=evaluated.part("v"),
        log_pair=evaluated.part("log_pair"),
        sample_reference=lambda key: flat_of(target.sample_reference(typed_key(key))),
        constrain=layout.unflatten,
        unconstrain=layout.flatten,
        log_likelihood=lambda x: {},
        unflatten=layout.unflatten,
        coordinate_names=layout.coordinate_names(),
        dims={
            name: tuple(f"{name}_dim_{axis}" for axis in range(len(shape)))
            for name, shape in zip(layout.names, layout.shapes, strict=True)
        },
        initial=initial,
        reference_is_normalised=False,
    )


def _layout_of(drawn: Any) -> tuple[FlatLayout, Any]:
    """Return where the leaves of a pytree of shapes lie in one vector, and its structure."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(drawn)
    names = [jax.tree_util.keystr(keys, simple=True, separator="/") or "x" for keys, _ in leaves]
    if len(set(names)) < len(names):
        raise ValueError(f"leaves of the pytree must have different names, got {names}")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"sample_reference must return floating leaves, got dtype {leaf.dtype} at "
                f"{name!r}; sum discrete variables out"
            )
    layout = FlatLayout(
        names=tuple(names),
        shapes=tuple(tuple(leaf.shape) for _, leaf in leaves),
        dtypes=tuple(np.dtype(leaf.dtype) for _, leaf in leaves),
        dtype=default_float(),
    )
    if layout.dimension == 0:
        raise ValueError("sample_reference returned no coordinates; there is nothing to sample")
    return layout, tree


def _shape_of(name: str, function: Callable[[Any], Any], argument: Any) -> Any:
    with explaining_function(name, _outline(argument)):
        return jax.eval_shape(function, argument)


def _check_scalar(name: str, shape: Any) -> None:
    if not (hasattr(shape, "shape") and shape.shape == ()):
        raise ValueError(
            f"{name} must return one scalar, got {_outline(shape)}; sum over the coordinates"
        )
    if not jnp.issubdtype(shape.dtype, jnp.floating):
        raise TypeError(f"{name} must return a floating scalar, got dtype {shape.dtype}")


def _outline(tree: Any) -> str:
    return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree))
