"""Sites inside NumPyro's control flow: exact splits by SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import cond, scan
from scipy import stats

from support.exact_splits import Cases, N, Y, location

CASES = Cases()


def _walk(reverse):
    def model():
        def step(last, y):
            z = numpyro.sample("z", dist.LogNormal(jnp.log(last), 0.5))
            numpyro.sample("y", dist.Normal(z, 1), obs=y)
            return z, z

        _, zs = scan(step, jnp.ones(()), jnp.asarray(Y), reverse=reverse)
        numpyro.deterministic("zs", zs)

    z = np.array([1.3, 0.8, 2.0, 0.4])
    path = z[::-1] if reverse else z
    before = np.concatenate([[1.0], path[:-1]])
    prior = stats.lognorm.logpdf(path, 0.5, scale=before).sum()
    return (model, {"z": z}, prior, N(Y, z).sum())


@CASES.case
def scan_counts_the_determinant_once_per_step():
    return _walk(reverse=False)


@CASES.case
def scan_backwards():
    return _walk(reverse=True)


@CASES.case
def scan_with_a_plate_in_its_body():
    data = np.array([[0.1, 0.2], [1.0, -1.0], [0.5, 3.0]])

    def model():
        s = numpyro.sample("s", dist.HalfNormal(1.0))

        def step(last, y):
            with numpyro.plate("n", 2):
                z = numpyro.sample("z", dist.LogNormal(last, s))
                numpyro.sample("y", dist.Normal(z, 1), obs=y)
            return jnp.log(z), None

        scan(step, jnp.zeros(2), jnp.asarray(data))

    z = np.array([[1.3, 0.8], [2.0, 0.4], [0.9, 1.1]])
    before = np.concatenate([np.ones((1, 2)), z[:-1]])
    prior = stats.halfnorm.logpdf(0.6) + stats.lognorm.logpdf(z, 0.6, scale=before).sum()
    return (model, {"s": 0.6, "z": z}, prior, N(data, z).sum())


@CASES.case
def scan_with_a_support_that_moves():
    """Each step stands above the one before."""

    def model():
        def step(last, y):
            z = numpyro.sample("z", dist.TruncatedNormal(0.0, 1.0, low=last))
            numpyro.sample("y", dist.Normal(z, 1), obs=y)
            return z, None

        scan(step, jnp.zeros(()), jnp.asarray(Y))

    z = np.array([0.1, 0.5, 0.6, 1.9])
    prior = (N(z) - stats.norm.logsf(np.concatenate([[0.0], z[:-1]]))).sum()
    return (model, {"z": z}, prior, N(Y, z).sum())


@CASES.case
def scan_with_masked_missing_data():
    data, seen = np.array([0.4, np.nan, 2.0, np.nan]), np.array([True, False, True, False])

    def model():
        def step(last, row):
            z = numpyro.sample("z", dist.Normal(last, 1))
            with handlers.mask(mask=row[1]):
                numpyro.sample("y", dist.Normal(z, 1), obs=row[0])
            return z, None

        scan(step, jnp.zeros(()), (jnp.asarray(data), jnp.asarray(seen)))

    z = np.array([0.1, 0.5, 0.6, 1.9])
    prior = N(z, np.concatenate([[0.0], z[:-1]])).sum()
    return (model, {"z": z}, prior, N(data[seen], z[seen]).sum())


@CASES.case
def scan_conditioned_from_outside():
    """An autoregression of order two whose data enter by `condition` around the scan."""

    def model():
        a = numpyro.sample("a", dist.Normal(0, 1).expand([2]).to_event(1))

        def step(last, _):
            y = numpyro.sample("y", dist.Normal(a[0] * last[0] + a[1] * last[1], 0.5))
            return jnp.stack([y, last[0]]), None

        with handlers.condition(data={"y": jnp.asarray(Y[2:])}):
            scan(step, jnp.asarray(Y[1::-1]), None, length=2)

    a = np.array([0.6, -0.3])
    return (model, {"a": a}, N(a).sum(), N(Y[2:], a[0] * Y[1:3] + a[1] * Y[:2], 0.5).sum())


@CASES.case
def scan_of_jax_without_sites():
    def observe(x):
        total, _ = jax.lax.scan(
            lambda s, y: (s - 0.5 * (y - x) ** 2, None), 0.0 * x, jnp.asarray(Y)
        )
        numpyro.factor("sum", total)

    return (location(observe), {"x": 0.6}, N(0.6), -0.5 * ((Y - 0.6) ** 2).sum())


@CASES.case
def both_branches_of_a_cond():
    def model():
        a = numpyro.sample("a", dist.Normal(0, 1))

        def branch(sign):
            return lambda at: numpyro.sample("b", dist.LogNormal(sign * at, 1.0))

        b = cond(a > 0, branch(1.0), branch(-3.0), a)
        numpyro.sample("y", dist.Normal(b, 1), obs=Y)

    prior = N(-0.4) + stats.lognorm.logpdf(0.9, 1.0, scale=np.exp(1.2))
    return (model, {"a": -0.4, "b": 0.9}, prior, N(Y, 0.9).sum())


@pytest.mark.usual("float64*")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_split_into_prior_and_likelihood_is_exact(name, precision, check_split):
    check_split(precision, *CASES[name]())


@pytest.mark.usual("scan_with_masked_missing_data")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_and_those_of_the_functions(name, x64, check_gradients):
    check_gradients(*CASES[name]()[:2])
