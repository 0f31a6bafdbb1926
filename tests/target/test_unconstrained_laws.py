"""Draws of every continuous prior follow its density in unconstrained space, tails included."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints, transforms
from scipy import stats

from numpygeons.target.model import sites as model
from numpygeons.target.model.unconstrained_laws import unconstrained_law
from numpygeons.target.path import as_path

P_MIN = 1e-6
N_DRAWS = 4_000
SHAPES = np.array([0.001, 0.01, 0.1, 1.0, 10.0, 1000.0])
UP, DOWN = jnp.array(SHAPES, np.float32), jnp.array(SHAPES[::-1], np.float32)
ONES = jnp.ones(len(SHAPES))
TAILS = jnp.array([-5.0, -1.0, 0.0, 1.0, 3.0, 5.0])


def transformed(base, transform):
    return dist.TransformedDistribution(base, transform)


# Laws that are drawn as unconstrained numbers, each independent of the others: six, for which the
# programs are compiled once.
OWN = {
    "Beta": lambda: dist.Beta(UP, UP),
    "Beta, skew": lambda: dist.Beta(UP, DOWN),
    "Chi2": lambda: dist.Chi2(UP),
    "Dagum": lambda: dist.Dagum(UP, 2.0, 3.0),
    "Dagum, sharpness": lambda: dist.Dagum(2.0, UP, 3.0),
    "Dirichlet": lambda: dist.Dirichlet(jnp.array([0.001, 0.01, 0.3, 2.0, 1000.0, 5.0])),
    "Gamma": lambda: dist.Gamma(UP, 2.0),
    "InverseGamma": lambda: dist.InverseGamma(UP, DOWN),
    "Kumaraswamy": lambda: dist.Kumaraswamy(UP, UP),
    "Kumaraswamy, skew": lambda: dist.Kumaraswamy(UP, DOWN),
    "LKJ": lambda: dist.LKJ(4, 0.001),
    "LKJCholesky": lambda: dist.LKJCholesky(4, 5.0),
    "LogNormal": lambda: dist.LogNormal(1.0, jnp.maximum(UP, 0.1)),
    "LogUniform": lambda: dist.LogUniform(1e-3, jnp.array([1.1e-3, 0.01, 0.1, 1.0, 1e10, 1e30])),
    "LowerTruncatedPowerLaw": lambda: dist.LowerTruncatedPowerLaw(-1.01 - UP, 2.0),
    "mixture of betas": lambda: dist.MixtureSameFamily(
        dist.Categorical(jnp.array([0.3, 0.7])), dist.Beta(jnp.stack([UP, UP + 3], -1), 1.0)
    ),
    "Pareto": lambda: dist.Pareto(2.0, UP),
    "StudentT": lambda: dist.StudentT(jnp.maximum(UP, 0.5), 1.0, 2.0),
    "TruncatedPolyaGamma": lambda: dist.TruncatedPolyaGamma((6,)),
    "Weibull": lambda: dist.Weibull(2.0, jnp.minimum(UP, 10.0)),
    "logistic of a normal": lambda: transformed(
        dist.Normal(0.0, UP), transforms.SigmoidTransform()
    ),
    "power of a gamma": lambda: transformed(dist.Gamma(UP, 2.0), transforms.PowerTransform(0.5)),
    "gamma below a bound": lambda: transformed(
        dist.Gamma(UP, 2.0), transforms.AffineTransform(3.0, -2.0, domain=constraints.positive)
    ),
    "reversed beta": lambda: transformed(
        dist.Beta(UP, DOWN), transforms.AffineTransform(3.0, -2.0, domain=constraints.unit_interval)
    ),
    "expanded": lambda: dist.Gamma(UP[:1], 1.0).expand([6]).to_event(1),
}
# The library's own draws and densities.
THEIRS = {
    "AsymmetricLaplace": lambda: dist.AsymmetricLaplace(0.0, 1.0, UP),
    "AsymmetricLaplaceQuantile": lambda: dist.AsymmetricLaplaceQuantile(
        0.0, 1.0, jnp.array([0.001, 0.1, 0.5, 0.999])
    ),
    "Cauchy": lambda: dist.Cauchy(0.0, UP),
    "DoublyTruncatedPowerLaw": lambda: dist.DoublyTruncatedPowerLaw(
        jnp.array([-50.0, -10.0, -1.0, 0.0, 10.0]), 0.5, 2.0
    ),
    "Exponential": lambda: dist.Exponential(UP),
    "Folded": lambda: dist.FoldedDistribution(dist.StudentT(UP + 0.5)),
    "Gompertz": lambda: dist.Gompertz(UP, 2.0),
    "Gumbel": lambda: dist.Gumbel(0.0, UP),
    "HalfCauchy": lambda: dist.HalfCauchy(UP),
    "HalfNormal": lambda: dist.HalfNormal(UP),
    "Laplace": lambda: dist.Laplace(0.0, UP),
    "Levy": lambda: dist.Levy(0.0, UP),
    "Logistic": lambda: dist.Logistic(0.0, UP),
    "Normal": lambda: dist.Normal(0.0, UP),
    "SoftLaplace": lambda: dist.SoftLaplace(0.0, UP),
    "TruncatedCauchy": lambda: dist.TruncatedCauchy(0.0, 1.0, low=TAILS),
    "TruncatedNormal, above": lambda: dist.TruncatedNormal(0.0, 1.0, low=TAILS),
    "TruncatedNormal, below": lambda: dist.TruncatedNormal(0.0, 1.0, high=TAILS),
    "TruncatedNormal, between": lambda: dist.TruncatedNormal(0.0, ONES, low=TAILS, high=6 * ONES),
    "Uniform": lambda: dist.Uniform(-UP, UP),
    "VonMises": lambda: dist.VonMises(1.0, UP[:-1]),
}


def all_of(laws):
    def prior():
        for k, law in enumerate(laws):
            numpyro.sample(f"x{k}", law())
        numpyro.factor("f", 0.0)

    return prior


def grid_of(draws):
    """Points over the range of the draws and beyond, in a scale that long tails fit in."""
    knots = np.quantile(np.arcsinh(draws), np.linspace(0, 1, 60))
    span = np.ptp(knots)
    width = max(knots[40] - knots[20], 1e-3 * span)
    away = np.geomspace(0.1 * width, 2 * span, 60)  # from the centre, for tails of any length
    ends = np.sort(np.concatenate([knots[30] - away, knots, knots[30] + away]))
    return np.concatenate([np.linspace(a, b, 4, endpoint=False) for a, b in pairwise(ends)])


def p_values(u, log_density):
    """Per coordinate, of the test that its draws follow a density along its axis; shape (n,).

    `log_density` takes points of shape (m, n) to the sums over coordinates, or each one's own.
    """
    u = np.asarray(u)
    assert np.isfinite(u).all()
    grids = np.stack([grid_of(column.astype(float)) for column in u.T], axis=1)
    with np.errstate(over="ignore"):
        points = np.sinh(grids).astype(u.dtype)
    logs = np.asarray(log_density(points), float)
    if logs.ndim == 1:
        logs = np.empty(points.shape)
        for k in range(points.shape[1]):
            others = np.repeat(np.median(u, axis=0)[None], len(points), axis=0)
            others[:, k] = points[:, k]
            logs[:, k] = log_density(others)
    logs = np.where(np.isfinite(logs), logs, -np.inf) + np.log(np.cosh(grids))
    found = []
    for column, grid, weights in zip(u.T, grids.T, np.exp(logs - logs.max(axis=0)).T, strict=True):
        steps = 0.5 * (weights[1:] + weights[:-1]) * np.diff(grid)
        cumulated = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
        assert steps[0] + steps[-1] < 1e-2 * steps.sum()
        test = stats.kstest(
            np.arcsinh(column.astype(float)), lambda s, g=grid, c=cumulated: np.interp(s, g, c)
        )
        found.append(test.pvalue)
    return np.array(found)


def of_path(distribution, n_draws=20_000):
    """The p-values of a model's draws and log_reference."""

    def prior():
        x = numpyro.sample("x", distribution())
        numpyro.factor("f", 1e-9 * jnp.sum(x))

    path = as_path(prior)
    keys = jax.random.split(jax.random.key(3), n_draws)
    u = jax.jit(jax.vmap(path.sample_reference))(keys)
    return p_values(u, jax.jit(jax.vmap(path.log_reference)))


@pytest.mark.usual(
    "Beta",
    "Dirichlet",
    "LogNormal",
    "LKJ",
    "InverseGamma",
    "reversed beta",
    "gamma below a bound",
    "Kumaraswamy",
)
@pytest.mark.parametrize("name", [name for name in OWN if "mixture" not in name])
def test_draws_follow_their_density_where_values_round_to_an_edge(name):
    law = unconstrained_law(OWN[name]())
    u = law.draw(jax.random.key(3), (N_DRAWS, 6)[: 2 - law.event_dim])
    assert p_values(u, law.log_density).min() > P_MIN


@pytest.mark.usual("float32*")
@pytest.mark.slow
@pytest.mark.parametrize("name", [*OWN, *THEIRS])
def test_draws_of_each_prior_of_a_model_follow_its_density(name, precision):
    assert of_path((OWN | THEIRS)[name]).min() > P_MIN


def test_draws_of_a_model_follow_its_density_and_those_of_the_library_do_not(monkeypatch):
    def prior():
        wide = dist.Normal(0.0, jnp.array([20.0, 2.0])).expand([2, 2]).to_event(1)
        return transformed(wide, transforms.SigmoidTransform())

    assert of_path(prior, N_DRAWS).min() > P_MIN
    monkeypatch.setattr(model, "unconstrained_law", lambda fn: None)
    assert of_path(prior, N_DRAWS).min() < P_MIN


def test_a_law_of_a_users_own_class_is_left_alone():
    class Scaled(dist.Gamma):
        def log_prob(self, value):
            return 2 * super().log_prob(value)

    assert unconstrained_law(dist.Gamma(1.0)) is not None
    assert unconstrained_law(Scaled(1.0)) is None
    assert unconstrained_law(dist.Normal()) is None
