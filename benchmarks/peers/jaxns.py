"""Runs a problem with the nested sampling of jaxns."""

import numpy as np

from common.problem import Problem
from common.run import Run, Runner


def jaxns(problem: Problem, per_dimension: int | None = None) -> Runner:
    """jaxns: its `NestedSampler` with its defaults, on a model in its own words; or with so many
    live points per dimension instead of 30.

    It switches JAX to double precision. It takes no gradients: what is counted are evaluations of
    the likelihood. ESS is its own, Kish's of the posterior weights.
    """
    import jax
    from jaxns.core import NestedSampler
    from jaxns.model import Model

    from peers.jaxns_models import prior_model

    live_points = None
    if per_dimension is not None:
        from numpygeons.target.path import NumPyroPath, as_path

        path = as_path(NumPyroPath(problem.model, problem.model_args))
        live_points = per_dimension * path.dimension
    sampler = NestedSampler(
        model=Model(prior_model=prior_model(problem)), root_allocation_degree=live_points
    )

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
