"""Options of XLA, which come and go between its versions, change speed alone."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from numpygeons.drivers import compilation
from numpygeons.drivers.compilation import GRAPH_OPTIONS, compile_with, lower_program


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
def test_what_xla_does_not_know_is_left_out(lowered, unknown):
    with pytest.raises(jax.errors.JaxRuntimeError):
        lowered.compile(compiler_options=unknown)
    asked = []

    def compile(compiler_options):
        asked.append(dict(compiler_options))
        return lowered.compile(compiler_options=compiler_options)

    known = {"xla_gpu_graph_min_graph_size": 1}
    assert compile_with(SimpleNamespace(compile=compile), {**unknown, **known})(1.0) == 2
    assert asked == [{**unknown, **known}, known]


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
