"""Paths agree with the figures of the reference problems, where their folder is present."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons.errors import ModelError
from numpygeons.target.path import as_path


def _split(path, values):
    """Return log prior, by automatic differentiation of the map, and V."""
    run = jax.jit(lambda values: path.log_pair(path.unconstrain(values)))
    return run({name: jnp.asarray(value) for name, value in values.items()})


def _log_det(path, values):
    """Return log|det J| for sites with as many free entries as coordinates."""
    x = path.unconstrain({name: jnp.asarray(value) for name, value in values.items()})
    free = path.unflatten(x)

    def numbers(x):
        back = path.constrain(x)
        parts = []
        for name, value in free.items():
            site = back[name]
            if site.ndim == 2 and site.shape[0] == site.shape[1] and value.size < site.size:
                site = site[np.tril_indices(site.shape[0], -1)]
            elif site.size > value.size:  # a simplex
                site = site[..., :-1]
            parts.append(jnp.ravel(site))
        return jnp.concatenate(parts)

    return np.linalg.slogdet(np.asarray(jax.jit(jax.jacfwd(numbers))(x), float))[1]


@pytest.mark.slow
def test_every_construct_is_split_as_scipy_says(reference_module, precision):
    cases = reference_module("constructs").CASES
    assert len(cases) >= 15
    rtol = 1e-8 if precision == np.float64 else 1e-4
    for name, case in cases.items():
        path = as_path(case["model"])
        log_reference, v = _split(path, case["values"])
        log_prior = log_reference - _log_det(path, case["values"])
        got, want = [log_prior, v], [case["log_prior"], case["log_lik"]]
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol, err_msg=name)


def test_every_construct_that_must_be_refused_is(reference_module):
    refused = reference_module("constructs").MUST_RAISE
    assert len(refused) >= 5
    for model, _ in refused.values():
        with pytest.raises(ModelError, match=r"site|plate"):
            as_path(model)


@pytest.mark.slow
def test_every_probe_of_every_problem_agrees(reference, reference_module, x64):
    truths = json.loads((reference / "problems" / "truths.json").read_text())
    seen = 0
    for name, problem in reference_module("models").PROBLEMS.items():
        path = as_path(problem.model, (), problem.kwargs())
        assert path.dimension == truths[problem.truth or name]["dim"], name
        if problem.truth:  # other coordinates than those of the probes
            continue
        rtol = truths[name].get("probe_rtol", 1e-9)
        truth = truths[name]
        for probe in truth.get("probes", []) + truth.get("probes_neg_inf", []):
            log_reference, v = _split(path, probe["params"])
            log_prior = log_reference - _log_det(path, probe["params"])
            got, want = [log_prior, v], [probe["log_prior"], probe["log_lik"]]
            np.testing.assert_allclose(got, want, rtol=rtol, atol=100 * rtol, err_msg=name)
            seen += 1
    assert seen >= 18


@pytest.mark.slow
def test_forms_of_the_eight_schools_agree_with_one_another(reference_module, x64):
    problems = reference_module("models").PROBLEMS
    paths = [
        as_path(problems[name].model, (), problems[name].kwargs())
        for name in ("eight_schools", "eight_schools_reparam")
    ]
    x = paths[0].sample_reference(jax.random.key(2))
    first, second = (path.log_pair(x) for path in paths)
    np.testing.assert_allclose(first, second, rtol=1e-9)
