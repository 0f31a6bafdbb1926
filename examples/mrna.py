"""The mRNA transfection model M1a (Ballnus et al. 2017): two modes of equal weight.

The rates of translation decay and of mRNA decay enter symmetrically, so each is as often the
larger one. A single chain stays in one mode. Data: simulated from the model, or `--data FILE`,
a JSON file with lists `t` and `y`.
"""

import argparse
import json

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import numpygeons


def curve(t, lt0, lkm0, lbeta, ldelta):
    """Expected fluorescence, written in the smaller and the larger rate: no cancellation."""
    slow, fast = 10.0 ** jnp.minimum(lbeta, ldelta), 10.0 ** jnp.maximum(lbeta, ldelta)
    since = jnp.maximum(t - 10.0**lt0, 0.0)
    gap = (fast - slow) * since
    small = gap < 1e-4
    rise = jnp.where(small, 1 - gap / 2, -jnp.expm1(-gap) / jnp.where(small, 1.0, gap))
    return 10.0**lkm0 * since * jnp.exp(-slow * since) * rise


def mrna(t, y):
    lt0 = numpyro.sample("lt0", dist.Uniform(-2, 1))
    lkm0 = numpyro.sample("lkm0", dist.Uniform(-5, 5))
    lbeta = numpyro.sample("lbeta", dist.Uniform(-5, 5))
    ldelta = numpyro.sample("ldelta", dist.Uniform(-5, 5))
    lsigma = numpyro.sample("lsigma", dist.Uniform(-2, 2))
    mean = curve(t, lt0, lkm0, lbeta, ldelta)
    numpyro.sample("y", dist.Normal(mean, 10.0**lsigma), obs=y)


def simulated(n=150, seed=7):
    t = np.linspace(1.75, 26.5, n)
    noise = np.random.default_rng(seed).normal(size=n)
    return t, np.asarray(curve(t, 0.18, 1.08, -2.6, -0.75)) + 10**0.4 * noise


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="JSON file with the lists t and y")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if options.data:
        with open(options.data) as file:
            data = json.load(file)
        t, y = np.asarray(data["t"]), np.asarray(data["y"])
    else:
        t, y = simulated()
    pt = numpygeons.pigeons(
        mrna, model_args=(t, y), n_chains=20, n_rounds=options.rounds, seed=options.seed
    )
    weight = float(np.mean(pt.samples["lbeta"] < pt.samples["ldelta"]))
    print(f"weight of the mode lbeta < ldelta: {weight:.3f} (exact: 0.5)")
    print(f"both modes found: {0.05 < weight < 0.95}")


if __name__ == "__main__":
    main()
