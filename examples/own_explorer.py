"""An explorer of one's own: random-walk Metropolis, its steps scaled per chain between rounds."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import numpygeons as ng
from numpygeons.explorers.scale import carried_over, neighbour_variances


class RandomWalk(ng.Explorer):
    def noise(self, dimension):
        return ng.NoiseShape(n_normals=dimension, n_uniforms=1)

    def start(self, start):
        return np.tile(start.scale, (len(start.betas), 1))

    def explore(self, evaluate, state, beta, scale, noise):
        there = evaluate(state.x + scale * noise.normals)
        ratio = jnp.exp(ng.log_density(there, beta) - ng.log_density(state, beta))
        probability = jnp.where(jnp.isfinite(ng.log_density(there, beta)), jnp.minimum(1, ratio), 0)
        accepted = noise.uniforms[0] < probability
        return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), there, state), probability[None]

    def adapt(self, scale, outcome):
        return carried_over(np.sqrt(neighbour_variances(scale**2, outcome)), outcome)


def coin():
    p, q = (numpyro.sample(name, dist.Uniform(0, 1)) for name in "pq")
    numpyro.sample("heads", dist.Binomial(100, p * q), obs=50)


low, high = ng.pigeons(coin, n_chains=8, n_rounds=12, explorer=RandomWalk()).log_z_interval(0.99)
print(f"exact log Z -4.975 in the 99 % interval: {low <= -4.974552 <= high}")
