"""Tests which programs are compiled as one machine function, and that it changes speed alone."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import pigeons
from numpygeons.rounds import programs
from numpygeons.xla import compilation

RNG = np.random.default_rng(1)
X, NOISE = RNG.normal(size=(6000, 20)), RNG.normal(size=50_000)
SETTINGS = {"n_chains": 3, "n_rounds": 3, "show_report": False}


def large_regression():
    """A product of a large matrix and a vector."""
    weights = numpyro.sample("weights", dist.Normal(0, 1).expand([20]).to_event(1))
    numpyro.sample("y", dist.Bernoulli(logits=jnp.asarray(X) @ weights), obs=X[:, 0] > 0)


def large_sums():
    """Sums over data that XLA would spread over cores, or leave to a library."""
    location = numpyro.sample("location", dist.Normal(0, 1))
    scale = numpyro.sample("scale", dist.LogNormal(0, 1))
    numpyro.sample("y", dist.Cauchy(location, scale), obs=jnp.asarray(NOISE))


def network():
    """A product of two matrices, large enough for a library."""
    weights = numpyro.sample("weights", dist.Normal(0, 1).expand([20, 30]).to_event(2))
    hidden = jnp.tanh(jnp.asarray(X) @ weights)
    numpyro.sample("y", dist.Normal(hidden.mean(1), 1), obs=X[:, 0])


def determinant():
    """A factorisation."""
    scale = numpyro.sample("scale", dist.LogNormal(0, 1))
    covariance = scale * jnp.eye(3) + 1
    numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(3), covariance), obs=jnp.ones(3))


@pytest.mark.usual("large_regression-True")
@pytest.mark.parametrize(
    ("model", "one"),
    [(large_regression, True), (large_sums, True), (network, False), (determinant, False)],
)
def test_programs_become_one_function_where_that_pays_and_xla_is_asked_once(
    model, one, monkeypatch
):
    refused = []
    monkeypatch.setattr(compilation.logger, "debug", lambda *message: refused.append(message))
    pt = pigeons(model, **SETTINGS)
    assert pt._rounds.driver.program.as_one_function == one
    assert not refused


def test_a_round_calls_the_coordinator_once_and_xla_knows_that_it_does_something():
    text = pigeons(large_sums, **SETTINGS)._rounds.driver.program.call.as_text()
    calls = [line for line in text.splitlines() if "custom-call(" in line]
    assert len(calls) == 2
    for name in ("prepare", "scan"):
        (call,) = [c for c in calls if f'custom_call_target="numpygeons_{name}_float32"' in c]
        assert "custom_call_has_side_effect=true" in call


@pytest.mark.slow
@pytest.mark.parametrize("model", [large_regression, large_sums])
def test_one_function_gives_the_numbers_of_many_kernels(model, x64, monkeypatch):
    one = pigeons(model, **SETTINGS)
    monkeypatch.setattr(programs, "fits_one_function", lambda *_: False)
    many = pigeons(model, **SETTINGS)
    assert not many._rounds.driver.program.as_one_function
    for name, draws in one.samples.items():
        np.testing.assert_allclose(many.samples[name], draws, rtol=1e-6, err_msg=name)
