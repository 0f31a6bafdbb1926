"""The mRNA transfection model M1a (Ballnus et al. 2017): two modes of equal weight.

Two decay rates enter symmetrically; a single chain stays where the one or the other is larger.
Data are simulated, or read from `--data FILE`, a JSON file with the lists t and y.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import numpygeons


def curve(t, lt0, lkm0, lbeta, ldelta):
    """Expected fluorescence, in the smaller and the larger rate: nothing cancels."""
    slow, fast = 10.0 ** jnp.minimum(lbeta, ldelta), 10.0 ** jnp.maximum(lbeta, ldelta)
    since = jnp.maximum(t - 10.0**lt0, 0.0)
    gap = (fast - slow) * since
    small = gap < 1e-4
    rise = jnp.where(small, 1 - gap / 2, -jnp.expm1(-gap) / jnp.where(small, 1.0, gap))
    return 10.0**lkm0 * since * jnp.exp(-slow * since) * rise


def mrna(t, y):
    uniform = {"lt0": (-2, 1), "lkm0": (-5, 5), "lbeta": (-5, 5), "ldelta": (-5, 5)}
    rates = {name: numpyro.sample(name, dist.Uniform(*ends)) for name, ends in uniform.items()}
    lsigma = numpyro.sample("lsigma", dist.Uniform(-2, 2))
    numpyro.sample("y", dist.Normal(curve(t, **rates), 10.0**lsigma), obs=y)


def simulated(n=150, seed=7):
    t = np.linspace(1.75, 26.5, n)
    noise = np.random.default_rng(seed).normal(size=n)
    return {"t": t, "y": np.asarray(curve(t, 0.18, 1.08, -2.6, -0.75)) + 10**0.4 * noise}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    data = json.loads(Path(options.data).read_text()) if options.data else simulated()
    t, y = np.asarray(data["t"]), np.asarray(data["y"])
    pt = numpygeons.pigeons(mrna, model_args=(t, y), n_chains=20, n_rounds=options.rounds)
    weight = float(np.mean(pt.samples["lbeta"] < pt.samples["ldelta"]))
    print(f"weight of the mode lbeta < ldelta: {weight:.3f} (exact: 0.5)")
    print(f"both modes found: {0.05 < weight < 0.95}")


if __name__ == "__main__":
    main()
