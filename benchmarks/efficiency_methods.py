"""Runs the problems of the efficiency table with each package, as its user would.

A method is a function of a problem; it returns a function of a seed, which runs the method and
may be called again, with what is compiled kept. All end with draws in constrained space on the
host, and with log Z where the package, or its users, have a way to it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from efficiency_problems import Problem

Samples = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run gave. `sampling_...` is of the part that the draws come from: tuning apart."""

    samples: Samples  # by site, shape (n_chains, n_draws, *site_shape)
    weights: np.ndarray | None = None  # of the draws, for one chain; None: all equal
    families: np.ndarray | None = None  # of the draws, for one chain: who shares an ancestor
    ess: float | None = None  # None: of series or families, which `efficiency.py` makes
    log_z: float | None = None
    n_gradients: float  # of the log density, over all chains, replicas and particles
    sampling_seconds: float | None = None  # None: no part of it is only tuning
    sampling_gradients: float | None = None


Runner = Callable[[int], Run]


def numpygeons(problem: Problem) -> Runner:
    """Default settings. A gradient: `RoundRecord.n_gradients`, of prior and likelihood at one
    state, all chains counted; the last round makes the draws, those before it tune."""
    import numpygeons as package

    target = package.NumPyroPath(problem.model, problem.model_args)

    def run(seed: int) -> Run:
        pt = package.pigeons(
            target,
            n_chains=problem.n_chains,
            n_rounds=problem.n_rounds,
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


def nuts(problem: Problem) -> Runner:
    """NumPyro's defaults: 4 chains of 1000 draws after 1000 of warm-up, `chain_method` vectorized.

    A gradient: one leapfrog step, `num_steps` of each draw, those of the warm-up included in the
    sum over the whole run. Chains run in lock step make more, whose results are thrown away;
    these are not counted. No evidence.
    """
    import jax
    from numpyro.infer import MCMC, NUTS

    mcmc = MCMC(
        NUTS(problem.model),
        num_warmup=1000,
        num_samples=1000,
        num_chains=4,
        chain_method="vectorized",
        progress_bar=False,
    )
    fields = ("num_steps",)

    def run(seed: int) -> Run:
        key = jax.random.PRNGKey(seed)
        mcmc.warmup(key, *problem.model_args, extra_fields=fields, collect_warmup=True)
        tuning = int(np.sum(mcmc.get_extra_fields()["num_steps"]))
        start = time.perf_counter()
        mcmc.run(mcmc.post_warmup_state.rng_key, *problem.model_args, extra_fields=fields)
        samples = {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
        seconds = time.perf_counter() - start
        sampling = int(np.sum(mcmc.get_extra_fields()["num_steps"]))
        return Run(
            samples=samples,
            n_gradients=tuning + sampling,
            sampling_seconds=seconds,
            sampling_gradients=sampling,
        )

    return run


def _constrained(path: Any, x: Any) -> Samples:
    """Rows of x in constrained space, one chain."""
    import jax

    sites = jax.jit(jax.vmap(path.constrain))
    return {name: np.asarray(value)[None] for name, value in sites(x).items()}


def smc(problem: Problem) -> Runner:
    """BlackJAX: adaptive tempered SMC, 4096 particles, moved by HMC, systematic resampling.

    The next temperature keeps half of the effective particles, as in its examples. Each
    temperature makes 5 HMC moves with masses from the particles' variances, a number of leapfrog
    steps drawn from 5, ..., 15 (a fixed length can resonate), and a step that is led to an
    acceptance of 0.8. log Z is the sum of the log likelihood increments. A last move at the
    posterior makes the weights equal.

    A gradient: one leapfrog step, and one to start at each temperature, per particle. ESS is that
    of the genealogy: particles that descend from the same one of the prior may be dependent.
    """
    import jax
    import jax.numpy as jnp
    from blackjax.mcmc import hmc
    from blackjax.smc import adaptive_tempered, resampling

    from numpygeons.path import NumPyroPath, as_path

    n_particles, n_moves = 4096, 5
    path = as_path(NumPyroPath(problem.model, problem.model_args))
    kernel = adaptive_tempered.build_kernel(
        path.log_reference,
        path.log_ratio,
        hmc.build_kernel(),
        hmc.init,
        resampling.systematic,
        0.5,
    )

    def step(carry):
        key, state, families, size, log_z, n_gradients = carry
        key, key_length, key_kernel = jax.random.split(key, 3)
        weights, x = state.weights[:, None], state.particles
        variance = jnp.sum(weights * (x - jnp.sum(weights * x, axis=0)) ** 2, axis=0)
        length = jax.random.randint(key_length, (), 5, 16)
        parameters = {
            "step_size": size,
            "inverse_mass_matrix": variance,
            "num_integration_steps": length,
        }
        shared = jax.tree.map(lambda value: value[None], parameters)
        state, info = kernel(key_kernel, state, n_moves, shared)
        size = size * jnp.exp(2 * (jnp.mean(info.update_info.acceptance_rate) - 0.8))
        n_gradients = n_gradients + n_particles * (1.0 + n_moves * length)
        log_z = log_z + info.log_likelihood_increment
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
            samples=_constrained(path, x),
            families=np.asarray(families),
            log_z=float(log_z),
            n_gradients=float(n_gradients),
        )

    return run


def remc(problem: Problem) -> Runner:
    """TFP: ReplicaExchangeMC over HMC of 10 leapfrog steps, even and odd swaps in turn.

    It gets as many replicas as our chains, at least 8, and makes as many draws as our last round.
    Tempered is the likelihood, down to beta = 0, the prior. Between lies a geometric ladder; its
    last rung is where the log likelihood of the middle half of prior draws spreads by one. Each
    replica has its step, led to an acceptance of 0.8 by dual averaging in a burn-in, a quarter as
    long as the run. log Z by Bennett's ratio of each neighbouring pair, from the draws' values.

    A gradient: a leapfrog step of one replica, and one per replica after each swap, where the
    package starts the inner kernel anew.
    """
    import jax
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    from numpygeons.path import NumPyroPath, as_path

    n_draws = 2**problem.n_rounds
    n_burnin, n_leapfrog, n_replicas = n_draws // 4, 10, max(8, problem.n_chains)
    path = as_path(NumPyroPath(problem.model, problem.model_args))

    def kernel(betas):
        def inner(target_log_prob_fn):
            return tfp.mcmc.DualAveragingStepSizeAdaptation(
                tfp.mcmc.HamiltonianMonteCarlo(
                    target_log_prob_fn=target_log_prob_fn,
                    step_size=jnp.full((n_replicas, 1), 0.1, path.dtype),
                    num_leapfrog_steps=n_leapfrog,
                ),
                num_adaptation_steps=n_burnin,
                target_accept_prob=0.8,
            )

        return tfp.mcmc.ReplicaExchangeMC(
            target_log_prob_fn=None,
            untempered_log_prob_fn=jax.vmap(path.log_reference),
            tempered_log_prob_fn=jax.vmap(path.log_ratio),
            inverse_temperatures=betas,
            make_kernel_fn=inner,
            swap_proposal_fn=tfp.mcmc.even_odd_swap_proposal_fn(1),
            state_includes_replicas=True,
        )

    @jax.jit
    def start(key):
        prior = jax.vmap(path.sample_reference)(jax.random.split(key, 1024))
        low, high = jnp.nanquantile(jax.vmap(path.log_ratio)(prior), jnp.array([0.25, 0.75]))
        last = jnp.minimum(1 / (high - low), 0.5)
        rungs = last ** jnp.linspace(0, 1, n_replicas - 1, dtype=path.dtype)
        betas = jnp.concatenate([rungs, jnp.zeros(1, path.dtype)])
        x = prior[:n_replicas]
        return betas, x, kernel(betas).bootstrap_results(x)

    def advance(key, betas, x, results, n_steps):
        chain = tfp.mcmc.sample_chain(
            num_results=n_steps,
            current_state=x,
            previous_kernel_results=results,
            kernel=kernel(betas),
            trace_fn=lambda x, _: jax.vmap(path.log_ratio)(x),
            return_final_kernel_results=True,
            seed=key,
        )
        return chain.all_states, chain.final_kernel_results, chain.trace

    advance = jax.jit(advance, static_argnums=4)

    def run(seed: int) -> Run:
        keys = jax.random.split(jax.random.PRNGKey(seed), 3)
        betas, x, results = start(keys[0])
        x, results, _ = advance(keys[1], betas, x, results, n_burnin)
        jax.block_until_ready(x)
        began = time.perf_counter()
        x, _, v = advance(keys[2], betas, x[-1], results, n_draws)
        samples = _constrained(path, x[:, 0])
        seconds = time.perf_counter() - began
        per_step = n_replicas * (n_leapfrog + 1)
        return Run(
            samples=samples,
            log_z=bennett(np.asarray(v, float), np.asarray(betas, float)),
            n_gradients=(n_burnin + n_draws) * per_step,
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


def jaxns(problem: Problem) -> Runner:
    """jaxns: its `NestedSampler` with its defaults, on a model in its own words.

    It switches JAX to double precision. It takes no gradients: what is counted are evaluations of
    the likelihood. ESS is its own, Kish's of the posterior weights.
    """
    import jax
    from efficiency_jaxns import prior_model
    from jaxns.core import NestedSampler
    from jaxns.model import Model

    sampler = NestedSampler(model=Model(prior_model=prior_model(problem)))

    def run(seed: int) -> Run:
        results = sampler.run(key=jax.random.PRNGKey(seed), args=problem.model_args)
        results = results.to_result().trim()
        log_weights = np.asarray(results.log_dp)
        weights = np.exp(log_weights - log_weights.max())
        return Run(
            samples={k: np.asarray(v)[None] for k, v in results.X_samples.items()},
            weights=weights / weights.sum(),
            ess=float(results.ess),
            log_z=float(results.log_Z_mean),
            n_gradients=float(results.total_num_likelihood_evaluations),
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
