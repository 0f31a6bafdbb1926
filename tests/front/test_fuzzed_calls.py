"""Calls with arguments of all kinds either run or say, in words for a user, what is wrong.

NUMPYGEONS_FUZZED_CALLS sets how many calls are made; they are the same in every run.
"""

import os
import re
import warnings

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from numpyro.infer import NUTS

import numpygeons
from numpygeons import (
    HMC,
    MALA,
    PT,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    CheckpointError,
    Compose,
    JaxTarget,
    Mix,
    ModelError,
    NumericalError,
    NumPyroKernel,
    SliceSampler,
    pigeons,
)
from support.small_models import coin, half_excluded, impossible, normal

N_CALLS = int(os.environ.get("NUMPYGEONS_FUZZED_CALLS", "1000"))
ALLOWED = (
    *(TypeError, ValueError, ModelError, NumericalError, NotImplementedError),
    CheckpointError,  # for a folder that an earlier call has filled
)
OF_JAX = re.compile(
    "Traced<|Tracer|XlaRuntimeError|JaxRuntimeError|INTERNAL|INVALID_ARGUMENT|Concretization|"
    "traced array|jaxpr|abstract array|incompatible constructor|PyTree|jit-wrapped|ArrayLike|"
    "lax\\.|Computation compiled|incompatible function arguments"
)

Y = np.array([0.2, -0.4, 1.0])
DATA = (
    *(0.5, 1, True, None, "abc", b"abc", 1j, np.nan, np.inf, object(), int, 2**70, {}, set()),
    *([], [0.1, 0.2], [0.1, None], ["a"], [[0.1], [0.2, 0.3]], (0.1, 0.2), range(3), {"a": 1}),
    *(np.zeros(0), np.ones(3), np.ones((3, 1)), np.ones((1, 3)), np.arange(3), np.ones(3, bool)),
    *(np.array(["a"]), np.array([1, None]), np.array([np.nan, 1]), np.array(["2020"], "M8[Y]")),
    *(np.ma.masked_array([1.0, 2.0], [0, 1]), np.float16(0.5), np.ones(3, "complex64")),
    *(
        np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
        np.float64(1e300),
    ),
    *(jnp.ones(3), jnp.array(0.2), jnp.array([jnp.nan]), jnp.ones(3, "bfloat16"), jnp.ones(0)),
    *(jax.random.key(0), jax.ShapeDtypeStruct((3,), np.float32), dist.Normal(0, 1), lambda: 1.0),
)
ODD = (
    *(None, True, False, 0, 1, 2, 3, -1, 2.0, 2.5, np.nan, np.inf, "2", "", "auto", b"2", 1j),
    *([], (), {}, set(), [1], (2,), 2**40, 2**64, -(2**70), object(), int, max),
    *(np.int32(2), np.float32(2), np.array(2), np.array([2]), np.zeros((2, 2)), np.bool_(True)),
    *(jnp.array(2), jnp.array([2, 3]), jax.random.key(1), jax.random.PRNGKey(1), np.array("a")),
)


def regression(x, y):
    a = numpyro.sample("a", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(a * x, 1), obs=y)


def plated(y):
    a = numpyro.sample("a", dist.Normal(0, 1))
    with numpyro.plate("rows", len(y)):
        numpyro.sample("y", dist.Normal(a, 1), obs=y)


def of_scale(y, scale=1.0):
    a = numpyro.sample("a", dist.Normal(0, scale))
    numpyro.sample("y", dist.StudentT(3.0, a, scale), obs=y)


def counts(y):
    p = numpyro.sample("p", dist.Beta(1, 1))
    numpyro.sample("y", dist.Binomial(10, p), obs=y)


def any_factor(value):
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("f", value)
    numpyro.factor("g", -(x**2))


def any_name(name):
    numpyro.sample("y", dist.Normal(numpyro.sample(name, dist.Normal(0, 1)), 1), obs=0.1)


def any_result(value):
    normal()
    numpyro.deterministic("d", value)
    return value


def any_bounds(low, high):
    u = numpyro.sample("u", dist.Uniform(low, high))
    numpyro.factor("f", -jnp.sum(jnp.asarray(u)))


MODELS = (
    *(normal, coin, half_excluded, impossible, regression, plated, of_scale, counts),
    *(any_factor, any_name, any_result, any_bounds),
)
FUNCTIONS = JaxTarget(
    log_reference=lambda x: -0.5 * jnp.sum(x**2),
    log_target=lambda x: -jnp.sum(x**2),
    sample_reference=lambda key: jax.random.normal(key, (2,)),
)
EXPLORERS = (
    *(None, HMC(), HMC(n_components=0), AutoMALA(), MALA(), AutoRWMH(), SliceSampler()),
    *(AutoHMC(n_leapfrog=2), Compose(HMC(), SliceSampler()), Mix(MALA(), AutoRWMH())),
    *(NumPyroKernel(NUTS, max_tree_depth=3), HMC, NUTS, NUTS(normal), object(), "HMC", 3),
)
MAKERS = (HMC, AutoMALA, AutoHMC, AutoRWMH, MALA, SliceSampler)
PARAMETERS = (
    *("acceptance", "integration_time", "max_length", "jitter", "n_components", "n_leapfrog"),
    *("max_independent", "preconditioner", "selector", "n_refresh", "step_size", "window"),
    *("n_passes", "directions", "expansion", "max_expansions", "max_shrinks"),
)


def values(usual, odd=ODD):
    """Mostly one of `usual`, so that calls get far, else anything."""
    return st.integers(0, 7).flatmap(lambda i: st.sampled_from(usual if i else odd))


@st.composite
def calls(draw):
    """A target and its arguments, most of them left out."""
    target = draw(values(MODELS, (FUNCTIONS, *ODD)))
    is_model = any(target is model for model in MODELS)
    n_args = target.__code__.co_argcount if is_model else draw(st.integers(0, 1))
    arguments = {}
    if n_args and draw(st.integers(0, 9)):
        data = st.one_of(st.sampled_from(DATA), st.sampled_from((0.5, Y, jnp.ones(3))))
        arguments["model_args"] = tuple(draw(st.tuples(*[data] * n_args)))
    optional = {
        "model_args": values(((), []), ODD + DATA),
        "model_kwargs": values(({}, {"y": 0.5}, {"y": np.ones(3)}, {"z": 1}, {1: 2})),
        "n_chains": values((1, 2, 3)),
        "seed": values((0, 1, 2)),
        "record": values((["traces"], ["online"], [], ["round_trip", "round_trip"])),
        "n_threads": values((1, 2)),
        "checked_round": values((0, 1)),
        "driver": values(("fused", "stepwise", "device")),
        "checkpoint": values((False, True)),
        "lanes": values((1, 2, "auto")),
        "show_report": values((False, True)),
        "on": values((None,), (3, "slurm", numpygeons.ChildProcess)),
    }
    names = draw(st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True))
    for name in names:
        if name not in arguments:
            arguments[name] = draw(optional[name])
    arguments["n_rounds"] = draw(values((1, 2)))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        arguments["explorer"] = draw(st.sampled_from(EXPLORERS))
    parameters = {}
    if kind == 1:
        picked = draw(st.lists(st.sampled_from(PARAMETERS), max_size=2, unique=True))
        parameters = {name: draw(st.sampled_from(ODD)) for name in picked}
        arguments["explorer"] = draw(st.sampled_from(MAKERS))
    return target, arguments, parameters if kind == 1 else None


def too_large(arguments):
    """Arguments that are allowed and would take long."""
    n = arguments["n_rounds"]
    large_n = isinstance(n, int | float | np.number) and not isinstance(n, bool) and n > 3
    return large_n and n <= numpygeons.settings.MOST_ROUNDS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=N_CALLS,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a failure is shown as it was found, in a bounded time
    suppress_health_check=list(HealthCheck),
)
@given(call=calls())
def test_a_call_with_any_arguments_runs_or_says_what_is_wrong(call, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where folders of `checkpoint` go
    target, arguments, parameters = call
    if too_large(arguments):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if parameters is not None:
                arguments["explorer"] = arguments["explorer"](**parameters)
            pt = pigeons(target, **arguments)
    except ALLOWED as error:
        said = f"{type(error).__name__}: {error}"
    else:
        said = type(pt).__name__
    assert said == PT.__name__ or (not OF_JAX.search(said) and not said.endswith(": "))
