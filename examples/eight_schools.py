"""The centred eight schools model (Rubin 1981): draws, evidence and a summary from one call."""

import arviz
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

import numpygeons

EFFECTS = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
EXACT_LOG_Z = -31.311347  # by quadrature


def eight_schools(effects, errors):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(errors)):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("effect", dist.Normal(theta, errors), obs=effects)


def main():
    pt = numpygeons.pigeons(eight_schools, model_args=(EFFECTS, ERRORS), n_chains=4, n_rounds=10)
    print(arviz.summary(pt.to_arviz(), kind="stats", round_to=3))
    print(f"log Z = {pt.log_z:.3f} ± {pt.log_z_error:.3f} (exact: {EXACT_LOG_Z})")
    print("exact value in the 99 % interval:", end=" ")
    low, high = pt.log_z_interval(0.99)
    print(low <= EXACT_LOG_Z <= high)


if __name__ == "__main__":
    main()
