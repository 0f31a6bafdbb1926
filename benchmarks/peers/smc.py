"""Runs a problem with the tempered sequential Monte Carlo of BlackJAX."""

import numpy as np

from common.problem import Problem
from common.run import Run, Runner, constrained


def smc(problem: Problem, n_particles: int = 4096) -> Runner:
    """BlackJAX: adaptive tempered SMC, 4096 particles, systematic resampling.

    The next temperature keeps half of the effective particles, as in its examples. In up to 8
    dimensions each temperature makes 50 random walk moves with the particles' covariance, led to
    an acceptance of 0.3; steps of particles differ by a log-normal factor of scale one, for
    densities of many scales. (On the mRNA model that loses nearly all families: it gets 100 moves,
    and nine in ten particles are kept.) In more dimensions it makes 5 moves of HMC with masses
    from the particles' variances, a number of leapfrog steps drawn from 5, ..., 15 (a fixed
    length can resonate), and a step led to an acceptance of 0.8. log Z is the sum of the log
    likelihood increments. A last move at the posterior makes the weights equal.

    A gradient: one leapfrog step, and one to start at each temperature, per particle; for random
    walks an evaluation of the density. ESS is that of the genealogy: particles that descend from
    the same one of the prior may be dependent.
    """
    import jax
    import jax.numpy as jnp
    from blackjax.mcmc import hmc, random_walk
    from blackjax.smc import adaptive_tempered, resampling

    from numpygeons.target.path import NumPyroPath, as_path

    path = as_path(NumPyroPath(problem.model, problem.model_args))
    sites = constrained(path)
    walks = path.dimension <= 8
    n_moves, accepted = (50, 0.3) if walks else (5, 0.8)
    kept = 0.5
    if problem.model.__name__ == "mrna":
        n_moves, kept = 100, 0.9

    def walk(key, state, log_density, covariance_root):
        return random_walk.build_additive_step()(
            key, state, log_density, random_walk.normal(covariance_root)
        )

    kernel = adaptive_tempered.build_kernel(
        path.log_reference,
        path.v,
        walk if walks else hmc.build_kernel(),
        random_walk.init if walks else hmc.init,
        resampling.systematic,
        kept,
    )

    def tuned(key, state, size):
        """Parameters of the moves, shared where the first axis has length 1; evaluations per
        particle."""
        key_length, key_size = jax.random.split(key)
        weights, x = state.weights[:, None], state.particles
        centred = x - jnp.sum(weights * x, axis=0)
        covariance = (weights * centred).T @ centred
        if walks:
            spread = jnp.exp(jax.random.normal(key_size, (n_particles, 1, 1), x.dtype))
            return {"covariance_root": size * spread * jnp.linalg.cholesky(covariance)}, n_moves
        length = jax.random.randint(key_length, (), 5, 16)
        parameters = {
            "step_size": size[None],
            "inverse_mass_matrix": jnp.diag(covariance)[None],
            "num_integration_steps": length[None],
        }
        return parameters, n_moves * length

    def step(carry):
        key, state, families, size, log_z, n_gradients = carry
        key, key_tuning, key_kernel = jax.random.split(key, 3)
        parameters, n_evaluations = tuned(key_tuning, state, size)
        state, info = kernel(key_kernel, state, n_moves, parameters)
        size = size * jnp.exp(2 * (jnp.mean(info.update_info.acceptance_rate) - accepted))
        log_z = log_z + info.log_likelihood_increment
        n_gradients = n_gradients + n_particles * (1.0 + n_evaluations)
        return key, state, families[info.ancestors], size, log_z, n_gradients

    @jax.jit
    def sample(key):
        key, key_start = jax.random.split(key)
        x = jax.vmap(path.sample_reference)(jax.random.split(key_start, n_particles))
        zero = jnp.zeros((), x.dtype)
        start = adaptive_tempered.init(x)._replace(tempering_param=zero)
        carry = (key, start, jnp.arange(n_particles), zero + 0.3, zero, zero)
        carry = jax.lax.while_loop(lambda carry: carry[1].tempering_param < 1, step, carry)
        _, state, families, _, log_z, n_gradients = step(carry)
        return state.particles, families, log_z, n_gradients

    def run(seed: int) -> Run:
        x, families, log_z, n_gradients = sample(jax.random.key(seed))
        return Run(
            samples=sites(x),
            families=np.asarray(families),
            log_z=float(log_z),
            n_gradients=float(n_gradients),
        )

    return run
