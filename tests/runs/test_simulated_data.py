"""A whole run is calibrated: on data simulated from the prior, the truth ranks like a draw.

Parameters are drawn from the prior, data given the parameters, and a run given the data. Then the
rank of each parameter among thinned draws is uniform (Talts et al. 2018, arXiv 1804.06788), and so
is the rank of the log likelihood, which also sees a posterior that ignores some of the data
(Modrak et al. 2023, Bayesian Analysis). The evidence is compared with quadrature.

Compiling takes longer than a run, so here the data travel with the tuning: one compilation serves
all runs. `pytest -m slow` has a version with plain calls, one compilation per data set.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from scipy import special, stats

from numpygeons import HMC, Explorer, NumPyroPath, pigeons
from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate

THRESHOLD = 1e-6
N_DATA, N_FEWER = 200, 80  # data sets, and for mutants
N_GROUPS, N_REPEATS = 5, 3
N_CHAINS, N_ROUNDS = 5, 9
THIN = 16  # scans between the draws that ranks are taken among
LEAST, MOST = 0.91, 0.99  # acceptable coverages of the interval of level 0.95


def model(y):
    mu = numpyro.sample("mu", dist.Normal(0, 2))
    tau = numpyro.sample("tau", dist.HalfNormal(1))
    with numpyro.plate("group", N_GROUPS):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        with numpyro.plate("repeat", N_REPEATS):
            numpyro.sample("y", dist.Normal(theta, 1), obs=y)


NAMES = ("mu", "tau", *(f"theta[{i}]" for i in range(N_GROUPS)), "log likelihood")
LOG_TAU = 1  # its coordinate


def simulated(number):
    """Parameters, shape (dimension,), and data, without the model."""
    rng = np.random.default_rng([7, number])
    mu, tau = 2 * rng.standard_normal(), abs(rng.standard_normal())
    theta = mu + tau * rng.standard_normal(N_GROUPS)
    y = theta + rng.standard_normal((N_REPEATS, N_GROUPS))
    return np.array([mu, tau, *theta]), y.astype(np.float32)


def with_log_likelihood(parameters, y):
    """Rows of parameters with the log likelihood as a last column."""
    theta = parameters[..., None, 2:]
    return np.append(parameters, stats.norm.logpdf(y, theta).sum(axis=(-2, -1))[..., None], axis=-1)


def exact_log_z(y):
    """mu and theta integrated in closed form, tau by Gauss-Legendre in its quantile."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    tau = stats.halfnorm.ppf(0.5 * (nodes + 1))
    means, within = y.mean(axis=0), np.sum((y - y.mean(axis=0)) ** 2)
    variance = tau**2 + 1 / N_REPEATS  # of a mean given mu; given tau they have 4 in common
    total, deviation = means.sum(), np.sum((means - means.mean()) ** 2)
    determinants = (N_GROUPS - 1) * np.log(variance) + np.log(variance + 4 * N_GROUPS)
    squares = deviation / variance + total**2 / N_GROUPS / (variance + 4 * N_GROUPS)
    log_means = -0.5 * (N_GROUPS * np.log(2 * np.pi) + determinants + squares)
    inside = -0.5 * (within + N_GROUPS * (N_REPEATS - 1) * np.log(2 * np.pi))
    inside -= 0.5 * N_GROUPS * np.log(N_REPEATS)
    return inside + special.logsumexp(log_means, b=0.5 * weights)


# Data as an operand


def with_data(function, example):
    """The function of (x, y) that `function` of x is for y = `example`, one of its constants."""
    closed = jax.make_jaxpr(function)(jnp.zeros(2 + N_GROUPS))
    found = [i for i, c in enumerate(closed.consts) if np.array_equal(c, example)]
    assert len(found) == 1

    def evaluate(x, y):
        constants = [y if i == found[0] else c for i, c in enumerate(closed.consts)]
        return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, constants))(x)[0]

    return evaluate


@cache
def example_path():
    """The path for one data set, and its V as a function of the data too."""
    _, y = simulated(-1 % 2**32)
    path = as_path(NumPyroPath(model, (jnp.asarray(y),)))
    return path, with_data(path.v, y)


def path_of(y):
    """The path for data that may be traced."""
    path, v_of = example_path()
    return replace(path, v=lambda x: v_of(x, y), programs={})


@dataclass(frozen=True, kw_only=True)
class Given(Explorer):
    """HMC given data that travel with the tuning, one copy per chain."""

    y: Any = field(default=None, compare=False)  # the compiled program is the same for all
    hmc: HMC = field(default_factory=HMC)

    statistics = property(lambda self: self.hmc.statistics)
    needs_gradients = True

    def noise(self, dimension):
        return self.hmc.noise(dimension)

    def n_snapshots(self, n_chains, dimension):
        return self.hmc.n_snapshots(n_chains, dimension)

    def start(self, start):
        y = np.zeros((N_REPEATS, N_GROUPS)) if self.y is None else self.y
        return self.hmc.start(start), np.tile(y, (len(start.betas), 1, 1))

    def proposals(self, tuning):
        return self.hmc.proposals(tuning[0])

    def operands(self, tuning):
        return self.hmc.operands(tuning[0]), tuning[1]

    def adapt(self, tuning, outcome):
        return self.hmc.adapt(tuning[0], outcome), tuning[1]

    def evaluate(self, y):
        return make_evaluate(path_of(y), with_gradients=True)

    def told(self, state):
        """What of a state the swaps are told."""
        return state

    def explore(self, evaluate, state, beta, tuning, noise):
        inner, y = tuning
        evaluate = self.evaluate(jnp.asarray(y))
        state, statistics = self.hmc.explore(evaluate, evaluate(state.x), beta, inner, noise)
        return self.told(state), statistics


class WrongFactor(Given):
    """The likelihood is raised to another power than the data say."""

    def evaluate(self, y):
        right = super().evaluate(y)

        def evaluate(x, valued=True):
            state = right(x, valued)
            return state._replace(v=1.5 * state.v, grad_v=1.5 * state.grad_v)

        return evaluate


class NoDeterminant(Given):
    """The prior of log tau lacks the determinant of its transform."""

    def evaluate(self, y):
        right = super().evaluate(y)

        def evaluate(x, valued=True):
            state = right(x, valued)
            return state._replace(
                log_reference=state.log_reference - x[LOG_TAU],
                grad_reference=state.grad_reference.at[LOG_TAU].add(-1),
            )

        return evaluate


STICKY = HMC(n_components=0, max_length=1)  # cannot mend in one scan what a swap has done


class Sticky(Given):
    """A control for the next mutant: right, though slow."""

    def __init__(self, y=None):
        super().__init__(y=y, hmc=STICKY)


class AcceptsEverySwap(Sticky):
    """The swaps are told that V is zero everywhere."""

    def told(self, state):
        return state._replace(v=jnp.zeros_like(state.v))


@cache
def compiled(kind):
    """The programs that serve every data set, and the reference's evaluation at other data."""
    explorer = kind()
    path = path_of(jnp.zeros((N_REPEATS, N_GROUPS)))
    pt = pigeons(path, n_chains=N_CHAINS, n_rounds=1, explorer=explorer, show_report=False)
    assert len(pt.samples["mu"]) == 2  # compiles the way back too

    @jax.jit
    @lambda f: jax.vmap(f, in_axes=(0, None))
    def at_data(x, y):
        return explorer.told(explorer.evaluate(y)(x))

    return path.programs, at_data


def run_given(kind, y, seed):
    programs, at_data = compiled(kind)
    (reference,) = (key for key in programs if key[0] == "reference")

    def draws(keys):
        states, *rest = programs[reference].call(keys)
        return (at_data(states.x, y), *rest)

    mine = programs | {reference: replace(programs[reference], call=draws)}
    return pigeons(
        replace(path_of(jnp.asarray(y)), programs=mine),
        n_chains=N_CHAINS,
        n_rounds=N_ROUNDS,
        seed=seed,
        explorer=kind(y=y),
        show_report=False,
    )


def run_plain(_, y, seed):
    path = NumPyroPath(model, (jnp.asarray(y),))
    return pigeons(path, n_chains=N_CHAINS, n_rounds=N_ROUNDS, seed=seed, show_report=False)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    uniforms: np.ndarray  # shape (n_data, number of names): ranks, as uniform numbers
    errors: np.ndarray  # of log Z, shape (n_data,)
    covered: np.ndarray  # whether the interval of level 0.95 holds the exact log Z


@cache
def calibration(kind, n_data, run=run_given):
    rng = np.random.default_rng(3)
    uniforms, errors, covered = [], [], []
    for number in range(n_data):
        truth, y = simulated(number)
        pt = run(kind, y, number + 1)
        draws = pt.samples
        draws = np.column_stack([draws["mu"], draws["tau"], draws["theta"]]).astype(float)
        draws = with_log_likelihood(draws[THIN - 1 :: THIN], y)
        ranks = np.sum(draws < with_log_likelihood(truth, y), axis=0)
        uniforms.append((ranks + rng.uniform(size=len(ranks))) / (len(draws) + 1))
        exact = exact_log_z(y)
        low, high = pt.log_z_interval(0.95)
        errors.append(pt.log_z - exact)
        covered.append(low <= exact <= high)
    return Calibration(
        uniforms=np.array(uniforms), errors=np.array(errors), covered=np.array(covered)
    )


def p_value(uniforms):
    """That every column is uniform: by Kolmogorov and Smirnov, and by the sum and the sum of
    squares of normal scores, all exact."""
    n, p = len(uniforms), []
    for column in uniforms.T:
        z = special.ndtri(column)
        squares = stats.chi2.cdf(np.sum(z**2), n), stats.chi2.sf(np.sum(z**2), n)
        p += [stats.kstest(column, "uniform", mode="exact").pvalue]
        p += [2 * stats.norm.sf(abs(z.sum()) / np.sqrt(n)), 2 * min(squares)]
    return min(1.0, len(p) * float(np.min(p)))


def assert_calibrated(found):
    assert p_value(found.uniforms) > THRESHOLD
    assert stats.ttest_1samp(found.errors, 0).pvalue > THRESHOLD
    n, n_covered = len(found.covered), int(found.covered.sum())
    print(f"{n_covered} of {n} intervals hold log Z; p of ranks {p_value(found.uniforms):.2g}")
    for coverage, side in ((LEAST, "less"), (MOST, "greater")):
        assert stats.binomtest(n_covered, n, coverage, alternative=side).pvalue > THRESHOLD


def test_data_as_an_operand_give_the_density_of_the_model():
    for number in range(3):
        parameters, y = simulated(number)
        path = as_path(NumPyroPath(model, (jnp.asarray(y),)))
        x = jnp.asarray(parameters, jnp.float32)
        np.testing.assert_array_equal(path_of(jnp.asarray(y)).v(x), path.v(x))


@pytest.mark.usual(str(N_FEWER))
@pytest.mark.parametrize("n_data", [N_FEWER, N_DATA])
def test_the_truth_ranks_like_a_draw_and_the_evidence_is_that_of_quadrature(n_data):
    assert_calibrated(calibration(Given, n_data))


@pytest.mark.slow
def test_the_same_with_plain_calls():
    assert_calibrated(calibration(None, N_DATA, run_plain))


@pytest.mark.usual("AcceptsEverySwap")
@pytest.mark.filterwarnings("ignore:coarse arithmetic")  # V is not the model's, on purpose
@pytest.mark.parametrize("mutant", [WrongFactor, NoDeterminant, AcceptsEverySwap])
def test_a_run_with_a_mistake_is_not_calibrated(mutant):
    assert p_value(calibration(mutant, N_FEWER).uniforms) < THRESHOLD


@pytest.mark.slow
def test_short_trajectories_alone_are_no_mistake():
    assert p_value(calibration(Sticky, N_DATA).uniforms) > THRESHOLD
