"""Runs a problem with the nested sampling of jaxns."""

import numpy as np
from efficiency_problems import Problem
from efficiency_runs import Run, Runner


def jaxns(problem: Problem) -> Runner:
    """jaxns: its `NestedSampler` with its defaults, on a model in its own words.

    It switches JAX to double precision. It takes no gradients: what is counted are evaluations of
    the likelihood. ESS is its own, Kish's of the posterior weights.
    """
    import jax
    from efficiency_jaxns_models import prior_model
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
