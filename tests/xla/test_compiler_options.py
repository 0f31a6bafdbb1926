"""Options of XLA, which come and go between its versions; but for one they change speed alone."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons._core.random import Purpose
from numpygeons.rounds.reference_draws import ReferenceDraws, lower_reference
from numpygeons.target.map_draws import map_draws
from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate
from numpygeons.xla import compilation, compiler_options
from numpygeons.xla.compilation import GRAPH_OPTIONS, lower_program
from numpygeons.xla.compiler_options import RIGHT_NUMBERS, compile_with, jit

ONES = np.ones((20, 3), np.float32)


def products(matrix):
    """A function of a row that XLA may give to kernels that compute it wrongly."""
    return lambda x: jnp.sum(jnp.matmul(x, matrix.T) ** 2)


def model():
    slopes = numpyro.sample("slopes", dist.Normal(0, 1).expand([3]).to_event(1))
    numpyro.deterministic("squares", products(ONES)(slopes))
    numpyro.sample("y", dist.Normal(jnp.matmul(slopes, ONES.T), 1), obs=jnp.zeros(20))


@pytest.fixture
def lowered():
    return jax.jit(lambda x: x + 1).lower(1.0)


def test_this_xla_knows_the_options_for_accelerators_on_any_machine(lowered):
    assert lowered.compile(compiler_options=GRAPH_OPTIONS)(1.0) == 2


@pytest.mark.parametrize(
    "unknown",
    [{"xla_no_such_option": 1}, {"xla_gpu_enable_command_buffer": "FUSION,NO_SUCH_KIND"}],
    ids=["option", "value"],
)
def test_what_xla_does_not_know_is_left_out_and_not_asked_for_again(lowered, unknown, monkeypatch):
    monkeypatch.setattr(compiler_options, "_REFUSED", set())
    with pytest.raises(jax.errors.JaxRuntimeError):
        lowered.compile(compiler_options=unknown)
    asked = []

    def compile(compiler_options):
        asked.append(dict(compiler_options))
        return lowered.compile(compiler_options=compiler_options)

    known = {"xla_gpu_graph_min_graph_size": 1}
    for _ in range(2):
        assert compile_with(SimpleNamespace(compile=compile), {**unknown, **known})(1.0) == 2
    without = RIGHT_NUMBERS | known
    assert asked == [RIGHT_NUMBERS | unknown | known, without, without]


def test_an_error_that_is_of_no_option_is_raised():
    def compile(compiler_options):
        raise jax.errors.JaxRuntimeError("out of memory")

    with pytest.raises(jax.errors.JaxRuntimeError, match="out of memory"):
        compile_with(SimpleNamespace(compile=compile), {"xla_gpu_graph_min_graph_size": 1})


@pytest.mark.parametrize(("backend", "options"), [("cpu", {}), ("gpu", GRAPH_OPTIONS)])
def test_loops_become_graphs_of_kernels_on_a_gpu(monkeypatch, backend, options):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    seen = []
    monkeypatch.setattr(
        compilation, "compile_with", lambda lowered, options: seen.append(options) or "compiled"
    )
    lowered = lower_program(lambda _: jnp.sin, (jnp.zeros(3),), single=False)
    assert lowered.compile().call == "compiled"
    assert seen == [options]


@pytest.mark.parametrize(
    ("function", "n"),
    [(products(ONES), 1_000), (lambda x: jnp.sum((np.eye(3, dtype=np.float32) @ x) ** 2), 33_000)],
    ids=["equal entries", "many rows"],
)
def test_products_of_large_batches_are_right(function, n):
    x = np.random.default_rng(1).standard_normal((n, 3)).astype(np.float32)
    right = [function(row) for row in jnp.asarray(x[-5:])]  # one operation after the other
    np.testing.assert_allclose(jit(jax.vmap(function))(x)[-5:], right, rtol=1e-4, atol=1e-4)


def test_reference_draws_of_an_explorer_without_gradients_have_the_right_v():
    path = as_path(model)
    program = lower_reference(path, make_evaluate(path, with_gradients=False)).compile()
    states = ReferenceDraws(program, 3, seed=1).batch(Purpose.reference_draw, 0).states
    squares = np.sum((np.asarray(states.x) @ ONES.T) ** 2, axis=1)
    np.testing.assert_allclose(states.v, -0.5 * squares - 10 * np.log(2 * np.pi), rtol=1e-4)


def test_quantities_of_draws_with_a_matrix_of_ones_are_right():
    path = as_path(model)
    x = np.random.default_rng(1).standard_normal((3_000, 3)).astype(np.float32)
    squares = np.sum((x @ ONES.T) ** 2, axis=1)
    np.testing.assert_allclose(map_draws(path, x)["squares"], squares, rtol=1e-4, atol=1e-4)
    terms = map_draws(path, x, to="log_likelihood")["y"].sum(axis=1)
    np.testing.assert_allclose(terms, -0.5 * squares - 10 * np.log(2 * np.pi), rtol=1e-4)
