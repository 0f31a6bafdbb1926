"""Runs a problem with the replica exchange of TensorFlow Probability, on JAX."""

import time

import numpy as np

from common.problem import Problem
from common.run import Run, Runner, constrained


def remc(problem: Problem) -> Runner:
    """TFP: ReplicaExchangeMC over HMC of 5 leapfrog steps, even and odd swaps in turn.

    It gets as many replicas as our chains, at least 8; as many draws as our last round, at least
    32768. Tempered is the likelihood, down to beta = 0, the prior. Between is a geometric ladder;
    its last rung is where the log likelihood of the middle half of prior draws spreads by one. A
    burn-in of a quarter of the draws, in 12 windows, leads each replica's step to an acceptance
    of 0.8. (A scale for each coordinate, from the burn-in, made mRNA worse and helped nowhere
    much.) log Z by Bennett's ratio of each neighbouring pair, from the draws' log likelihoods.

    A gradient: a leapfrog step of one replica, and one per replica after each swap, where the
    package starts the inner kernel anew.
    """
    import jax
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    from numpygeons.target.path import NumPyroPath, as_path

    n_draws = max(2**problem.n_rounds, 2**15)
    n_windows, n_window, n_leapfrog, n_replicas = 12, n_draws // 48, 5, max(8, problem.n_chains)
    path = as_path(NumPyroPath(problem.model, problem.model_args))
    sites = constrained(path)

    def advance(key, betas, x, steps, n_steps):
        def inner(target_log_prob_fn):
            return tfp.mcmc.HamiltonianMonteCarlo(
                target_log_prob_fn=target_log_prob_fn,
                step_size=steps,
                num_leapfrog_steps=n_leapfrog,
            )

        def traced(x, results):
            log_acceptance = results.pre_swap_replica_results.log_accept_ratio
            return jax.vmap(path.v)(x), jnp.exp(jnp.minimum(log_acceptance, 0))

        kernel = tfp.mcmc.ReplicaExchangeMC(
            target_log_prob_fn=None,
            untempered_log_prob_fn=jax.vmap(path.log_reference),
            tempered_log_prob_fn=jax.vmap(path.v),
            inverse_temperatures=betas,
            make_kernel_fn=inner,
            swap_proposal_fn=tfp.mcmc.even_odd_swap_proposal_fn(1),
            state_includes_replicas=True,
        )
        x, (v, accept) = tfp.mcmc.sample_chain(
            num_results=n_steps, current_state=x, kernel=kernel, trace_fn=traced, seed=key
        )
        return x, v, jnp.nanmean(accept, axis=0)

    advance = jax.jit(advance, static_argnums=4)

    @jax.jit
    def start(key):
        prior = jax.vmap(path.sample_reference)(jax.random.split(key, 1024))
        low, high = jnp.nanquantile(jax.vmap(path.v)(prior), jnp.array([0.25, 0.75]))
        last = jnp.minimum(1 / (high - low), 0.5)
        rungs = last ** jnp.linspace(0, 1, n_replicas - 1, dtype=path.dtype)
        return jnp.concatenate([rungs, jnp.zeros(1, path.dtype)]), prior[:n_replicas]

    def run(seed: int) -> Run:
        keys = jax.random.split(jax.random.PRNGKey(seed), n_windows + 2)
        betas, x = start(keys[0])
        steps = jnp.full((n_replicas, 1), 0.1, path.dtype)
        for window in range(n_windows):
            x, _, accept = advance(keys[window + 1], betas, x, steps, n_window)
            x, steps = x[-1], steps * jnp.exp(2 * (accept[:, None] - 0.8))
        jax.block_until_ready(x)
        began = time.perf_counter()
        x, v, _ = advance(keys[-1], betas, x, steps, n_draws)
        samples = sites(x[:, 0])
        seconds = time.perf_counter() - began
        per_step = n_replicas * (n_leapfrog + 1)
        return Run(
            samples=samples,
            log_z=bennett(np.asarray(v, float), np.asarray(betas, float)),
            n_gradients=(n_windows * n_window + n_draws) * per_step,
            sampling_seconds=seconds,
            sampling_gradients=n_draws * per_step,
        )

    return run


def bennett(v: np.ndarray, betas: np.ndarray) -> float:
    """log Z from log likelihoods v, shape (n_draws, n_replicas), betas falling from 1 to 0.

    Per pair the root c of sum expit(c - w) = sum expit(w' - c) (Bennett 1976, eq. 12), w the log
    ratio of the colder to the hotter density at draws of the hotter one, w' at the colder one's.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    total = 0.0
    for k in range(len(betas) - 1):
        ratio = betas[k] - betas[k + 1]
        cold, hot = ratio * v[:, k], ratio * v[:, k + 1]

        def balance(c, cold=cold, hot=hot):
            return np.sum(expit(hot - c)) - np.sum(expit(c - cold))

        both = np.concatenate([cold, hot])
        both = both[np.isfinite(both)]
        total += brentq(balance, both.min() - 50, both.max() + 50)
    return total
