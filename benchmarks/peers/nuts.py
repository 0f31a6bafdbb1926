"""Runs a problem with the NUTS of NumPyro."""

import time

import numpy as np

from common.problem import Problem
from common.run import Run, Runner


def nuts(problem: Problem, n_draws: int = 1000) -> Runner:
    """NumPyro's defaults: 4 chains of 1000 draws after 1000 of warm-up, `chain_method` vectorized.

    A gradient: one leapfrog step, `num_steps` of each draw, those of the warm-up included in the
    sum over the whole run. Chains run in lock step make more, whose results are thrown away;
    these are not counted. Both phases are put under `jit`: by itself the package compiles anew
    for each seed. No evidence.
    """
    import jax
    from numpyro.infer import MCMC, NUTS

    mcmc = MCMC(
        NUTS(problem.model),
        num_warmup=1000,
        num_samples=n_draws,
        num_chains=4,
        chain_method="vectorized",
        progress_bar=False,
    )
    options = {"extra_fields": ("num_steps",)}

    @jax.jit
    def warmed_up(key):
        mcmc.warmup(key, *problem.model_args, collect_warmup=True, **options)
        return mcmc.post_warmup_state, mcmc.get_extra_fields()["num_steps"]

    @jax.jit
    def sampled(state):
        mcmc.post_warmup_state = state
        mcmc.run(state.rng_key, *problem.model_args, **options)
        return mcmc.get_samples(group_by_chain=True), mcmc.get_extra_fields()["num_steps"]

    def run(seed: int) -> Run:
        state, n_tuning = jax.block_until_ready(warmed_up(jax.random.PRNGKey(seed)))
        start = time.perf_counter()
        draws, n_sampling = sampled(state)
        samples = {name: np.asarray(value) for name, value in draws.items()}
        seconds = time.perf_counter() - start
        return Run(
            samples=samples,
            n_gradients=int(np.sum(n_tuning)) + int(np.sum(n_sampling)),
            sampling_seconds=seconds,
            sampling_gradients=int(np.sum(n_sampling)),
        )

    return run
