"""Names the problems of the overhead table, from 5 to 1,000 dimensions."""

from dataclasses import replace
from typing import Any

import numpy as np

from common import efficiency_problems
from common.problem import Problem

TITLES = {
    "eight_schools_3": "eight schools, centred, f32",
    "eight_schools_10": "eight schools, centred, f32",
    "mrna": "mRNA M1a, f64",
    "varying_slopes": "varying intercepts and slopes, f32",
    "logistic_regression": "logistic regression, 10,000 x 50, f32",
    "normal_1000": "conjugate normal, f32",
}
CHAINS = {
    "eight_schools_3": 3,
    "eight_schools_10": 10,
    "mrna": 20,
    "varying_slopes": 10,
    "logistic_regression": 10,
    "normal_1000": 20,
}
N_GROUPS = 27


def uses_x64(name: str) -> bool:
    """Whether the model is run in double precision; asked before JAX makes an array."""
    return efficiency_problems.uses_x64(name)


def missing(name: str) -> str | None:
    """Why the model cannot be run here; None if it can."""
    return efficiency_problems.missing(name)


def problem(name: str) -> Problem:
    """The model of that name, its arrays in JAX's precision at this moment."""
    made = {
        "eight_schools_3": eight_schools_problem,
        "eight_schools_10": eight_schools_problem,
        "mrna": lambda: efficiency_problems.problem("mrna"),
        "varying_slopes": _varying_slopes,
        "logistic_regression": _logistic_regression,
        "normal_1000": lambda: conjugate_normal_problem(1000),
    }[name]()
    return replace(made, n_chains=CHAINS[name])


def eight_schools_problem() -> Problem:
    """As in the efficiency table. Not of the example's file, whose other imports would count."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def eight_schools(effects, errors):
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        tau = numpyro.sample("tau", dist.HalfCauchy(5))
        with numpyro.plate("school", len(errors)):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
            numpyro.sample("effect", dist.Normal(theta, errors), obs=effects)

    return Problem(
        model=eight_schools,
        model_args=(
            jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
            jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
        ),
        n_chains=10,
        n_rounds=10,
        log_z=-31.311347,
    )


def slopes(mean: Any, sd: Any, correlation: Any, z: Any) -> tuple[Any, Any]:
    """Intercepts and slopes by group of standard normals z, shape (2, n_groups)."""
    import jax.numpy as jnp

    intercept = mean[0] + sd[0] * z[0]
    apart = jnp.sqrt(1 - correlation**2)
    return intercept, mean[1] + sd[1] * (correlation * z[0] + apart * z[1])


def _varying_slopes() -> Problem:
    """60 dimensions, not centred; 27 groups of 5 to 20. log Z by quadrature over the two standard
    deviations, the correlation and the noise; given them all is normal."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def varying_slopes(group, t, y):
        mean = numpyro.sample("mean", dist.Normal(0, 2).expand([2]).to_event(1))
        sd = numpyro.sample("sd", dist.HalfNormal(1).expand([2]).to_event(1))
        correlation = numpyro.sample("correlation", dist.Uniform(-1, 1))
        noise = numpyro.sample("noise", dist.HalfNormal(1))
        z = numpyro.sample("z", dist.Normal(0, 1).expand([2, N_GROUPS]).to_event(2))
        intercept, slope = slopes(mean, sd, correlation, z)
        numpyro.sample("y", dist.Normal(intercept[group] + slope[group] * t, noise), obs=y)

    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(N_GROUPS), rng.integers(5, 21, N_GROUPS))
    t = rng.uniform(-1, 1, len(group))
    z = rng.normal(size=(2, N_GROUPS))
    intercept = 1.0 + 0.8 * z[0]
    slope = -0.5 + 0.5 * (0.4 * z[0] + np.sqrt(1 - 0.4**2) * z[1])
    y = rng.normal(intercept[group] + slope[group] * t, 0.7)
    return Problem(
        model=varying_slopes,
        model_args=(jnp.asarray(group), jnp.asarray(t, jnp.float32), jnp.asarray(y, jnp.float32)),
        n_chains=10,
        n_rounds=10,
        log_z=-368.2287,
        means={"noise": 0.68111, "correlation": -0.26489},
    )


def regression_data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a logistic regression on 50 columns."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n_rows, 50)).astype(np.float32)
    y = (x @ rng.normal(size=50) / 7 + rng.logistic(size=n_rows) > 0).astype(np.int32)
    return x, y


def _logistic_regression() -> Problem:
    """Standard normal weights. log Z by importance sampling around the mode, error 0.001."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def logistic_regression(x, y):
        weights = numpyro.sample("weights", dist.Normal(0, 1).expand([50]).to_event(1))
        numpyro.sample("y", dist.Bernoulli(logits=x @ weights), obs=y)

    x, y = regression_data(10_000)
    return Problem(
        model=logistic_regression,
        model_args=(jnp.asarray(x), jnp.asarray(y)),
        n_chains=10,
        n_rounds=10,
        log_z=-6081.123,
    )


def conjugate_normal_problem(dimension: int) -> Problem:
    """A standard normal seen through noise of the same size."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def conjugate_normal(y):
        x = numpyro.sample("x", dist.Normal(0, 1).expand([len(y)]).to_event(1))
        numpyro.sample("y", dist.Normal(x, 1).to_event(1), obs=y)

    y = np.random.default_rng(4).normal(size=dimension).astype(np.float32) * np.float32(2**0.5)
    log_z = -0.25 * np.sum(y.astype(np.float64) ** 2) - 0.5 * dimension * np.log(4 * np.pi)
    return Problem(
        model=conjugate_normal,
        model_args=(jnp.asarray(y),),
        n_chains=10,
        n_rounds=10,
        log_z=float(log_z),
    )
