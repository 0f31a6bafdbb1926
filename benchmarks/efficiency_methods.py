"""Runs the problems of the efficiency table with each package, as its user would.

A method is a function of a problem; it returns a function of a seed, which runs the method and
may be called again, with what is compiled kept. All end with draws in constrained space on the
host, and with log Z where the package, or its users, have a way to it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from efficiency_jaxns import jaxns
from efficiency_problems import Problem
from efficiency_remc import remc
from efficiency_runs import Run, Runner
from efficiency_smc import smc


def numpygeons(problem: Problem, n_rounds: int | None = None) -> Runner:
    """Default settings, and the problem's number of rounds. A gradient: `RoundRecord.n_gradients`,
    of prior and likelihood at one state, all chains counted; the last round makes the draws, those
    before it tune."""
    import numpygeons as package

    target = package.NumPyroPath(problem.model, problem.model_args)

    def run(seed: int) -> Run:
        pt = package.pigeons(
            target,
            n_chains=problem.n_chains,
            n_rounds=n_rounds or problem.n_rounds,
            seed=seed,
            show_report=False,
        )
        last = pt.rounds[-1]
        return Run(
            samples={name: value[None] for name, value in pt.samples.items()},
            log_z=pt.log_z,
            n_gradients=sum(record.n_gradients for record in pt.rounds),
            sampling_seconds=last.seconds,
            sampling_gradients=last.n_gradients,
        )

    return run


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


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to run a problem, and what must be installed for it."""

    title: str
    prepare: Callable[[Problem], Runner]
    module: str  # whose absence means: not installed
    package: str  # its name for pip


METHODS = {
    "numpygeons": Method(
        title="numpygeons", prepare=numpygeons, module="numpygeons", package="numpygeons-core"
    ),
    "nuts": Method(title="NumPyro NUTS", prepare=nuts, module="numpyro", package="numpyro"),
    "smc": Method(title="BlackJAX SMC", prepare=smc, module="blackjax", package="blackjax"),
    "remc": Method(
        title="TFP ReplicaExchangeMC",
        prepare=remc,
        module="tensorflow_probability",
        package="tfp-nightly",
    ),
    "jaxns": Method(title="jaxns", prepare=jaxns, module="jaxns", package="jaxns"),
}
