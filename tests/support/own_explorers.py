"""An explorer as a user writes one."""

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons import Explorer, NoiseShape, log_density


class Walk(Explorer):
    """Random-walk Metropolis whose tuning is a nested pytree, of NumPy and of JAX."""

    def noise(self, dimension):
        return NoiseShape(n_normals=dimension, n_uniforms=1)

    def start(self, start):
        steps = np.tile(start.scale, (len(start.betas), 1))
        return {"step": (steps, jnp.ones(len(start.betas))), "rounds": np.zeros(len(steps), int)}

    def explore(self, evaluate, state, beta, tuning, noise):
        steps, factor = tuning["step"]
        there = evaluate(state.x + steps * factor * noise.normals)
        ratio = jnp.exp(log_density(there, beta) - log_density(state, beta))
        accepted = noise.uniforms[0] < ratio
        pick = lambda a, b: jnp.where(accepted, a, b)  # noqa: E731
        return jax.tree.map(pick, there, state), jnp.minimum(ratio, 1)[None]

    def adapt(self, tuning, outcome):
        steps, factor = tuning["step"]
        return {"step": (steps * 0.97, factor * 1.01), "rounds": tuning["rounds"] + 1}
