"""Bad input raises before anything is compiled, with what was got, what was wanted, and where."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import numpyro.infer
import pytest
from numpyro.infer import NUTS

import numpygeons
from numpygeons import (
    HMC,
    MALA,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    CommunicationError,
    Compose,
    Mix,
    ModelError,
    NumericalError,
    NumPyroKernel,
    SliceSampler,
    pigeons,
)
from support.small_models import half_excluded, half_not_a_number, impossible, normal


def run(target=normal, **settings):
    return pigeons(target, **{"n_chains": 3, "n_rounds": 4, "show_report": False, **settings})


def discrete():
    z = numpyro.sample("z", dist.Bernoulli(0.5))
    numpyro.sample("y", dist.Normal(z, 1), obs=0.3)


def improper():
    x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.sample("y", dist.Normal(x, 1), obs=0.3)


def not_a_number_in_the_data():
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, 1), obs=jnp.array([0.1, jnp.nan]))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_chains": 0}, ValueError, "n_chains must lie between 1 and .*: got 0"),
        ({"n_chains": 2.5}, TypeError, "n_chains must be an integer: got 2.5"),
        ({"n_chains": True}, TypeError, "n_chains must be an integer: got True"),
        ({"n_rounds": -1}, ValueError, "n_rounds must lie between 0 and 30: got -1"),
        ({"n_rounds": 40}, ValueError, "n_rounds must lie between 0 and 30: got 40"),
        ({"seed": -1}, ValueError, r"seed must lie in \[0, 2\*\*64\): got -1"),
        ({"seed": "a"}, TypeError, "seed must be an integer: got 'a'"),
        ({"driver": "magic"}, ValueError, "driver must be one of"),
        ({"record": ["trace"]}, ValueError, "unknown recorder 'trace': choose from"),
        ({"record": "traces"}, TypeError, "record must be a list of recorders"),
        ({"explorer": "HMC"}, TypeError, "explorer must be an Explorer"),
        ({"explorer": HMC}, TypeError, r"explorer must be an Explorer, .*; write HMC\(\)"),
        ({"explorer": NUTS}, TypeError, r"a kernel of NumPyro; write NumPyroKernel\(NUTS\)"),
        ({"explorer": NUTS(normal)}, TypeError, r"NumPyroKernel\(NUTS\), .* without the model"),
        ({"seed": jax.random.key(0)}, TypeError, "seed .* a key of jax.random; write a number"),
        ({"seed": jax.random.PRNGKey(0)}, TypeError, r"seed .* an array of shape \(2,\)"),
        ({"n_chains": np.array([3])}, TypeError, r"n_chains .* an array of shape \(1,\)"),
        ({"record": jnp.array(3)}, TypeError, "record must be a list of recorders: got Array"),
        ({"record": 3}, TypeError, "record must be a list of recorders: got 3 of type int"),
        ({"record": {"traces": False}}, TypeError, "record must be a list of .* of type dict"),
        ({"driver": np.array(["fused"] * 2)}, TypeError, "driver must be one of"),
        ({"show_report": "no"}, TypeError, "show_report must be True or False: got 'no'"),
        ({"model_args": 0.5}, TypeError, "model_args must be a tuple, got float"),
        ({"model_args": (1, 2, 3)}, TypeError, "cannot be called with 3 model_args"),
        ({"model_kwargs": {"z": 1}}, TypeError, "unexpected keyword argument 'z'"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
        ({"lanes": 0}, ValueError, "lanes must be at least 1: got 0"),
        ({"lanes": 1.5}, TypeError, "lanes must be an integer: got 1.5"),
        ({"lanes": "all"}, ValueError, "lanes must be an integer or \"auto\": got 'all'"),
    ],
)
def test_bad_arguments_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        run(**settings)


@pytest.mark.parametrize("record", [[object()], [jnp.array(3)], {3}])
def test_what_is_not_supported_yet_says_so(record):
    with pytest.raises(NotImplementedError, match="recorder objects are not supported yet"):
        run(record=record)


def test_numbers_of_numpy_are_taken_as_pythons():
    pt = run(n_chains=np.int32(2), n_rounds=np.uint8(1), seed=jnp.asarray(3), lanes=np.int64(1))
    assert len(pt.rounds) == 1
    assert HMC(acceptance=np.float32(0.5), max_length=np.int64(8)) == HMC(
        acceptance=0.5, max_length=8
    )


def test_several_ranks_are_refused_instead_of_repeating_the_run(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(CommunicationError, match=r"started by mpirun with 4 ranks .*, but mpi4py"):
        run()  # mpi4py is missing, or sees one rank


@pytest.mark.parametrize(
    ("model", "site"), [(discrete, "z"), (improper, "x"), (not_a_number_in_the_data, "y")]
)
def test_models_that_cannot_be_tempered_are_refused_by_site(model, site):
    with pytest.raises(ModelError, match=f"'{site}'"):
        run(model)


@pytest.mark.parametrize("target", [None, 3, "model"])
def test_what_is_no_target_is_refused(target):
    with pytest.raises(TypeError, match="target must be"):
        run(target)


@pytest.mark.usual("half_excluded-HMC")
@pytest.mark.parametrize("explorer", [HMC(), AutoMALA()], ids=["HMC", "AutoMALA"])
@pytest.mark.parametrize("model", [half_excluded, half_not_a_number])
def test_zero_likelihood_on_half_of_the_prior_runs_and_is_counted(model, explorer):
    pt = run(model, n_rounds=12, explorer=explorer)
    assert np.all(pt.samples["x"] > 0)
    assert abs(pt.log_z - np.log(0.5)) < 6 * pt.log_z_error
    last = pt.rounds[-1]
    assert abs(last.n_zero_likelihood - 2048) < 6 * 32  # binomial(4096, 1/2)
    first = last.first_zero_likelihood
    assert first.chain == 0
    assert first.beta == 0
    assert 1 <= first.scan < 40
    assert "likelihood zero" in pt.report()
    assert f"replica {first.replica}, chain 0, beta 0, scan {first.scan}" in pt.report()


def test_a_likelihood_that_is_zero_everywhere_is_refused_by_site():
    message = r"no finite state for chain 1 .* likelihood zero: site 'never' is -inf at 64 of 64"
    with pytest.raises(NumericalError, match=message):
        run(impossible)


def test_a_site_that_is_never_a_number_is_told_from_one_of_likelihood_zero():
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=jnp.ones(3))
        numpyro.sample("z", dist.Normal(jnp.sqrt(-1 - x**2), 1), obs=jnp.ones(3))
        numpyro.factor("f", jnp.where(x > 1e9, 0.0, -jnp.inf))

    with pytest.raises(NumericalError) as caught:
        run(model)
    assert "site 'z' is NaN at 64 of 64 draws; site 'f' is -inf at 64 of 64" in str(caught.value)
    assert "'y'" not in str(caught.value)


def test_a_target_of_functions_that_is_never_finite_says_which_it_is():
    target = numpygeons.JaxTarget(
        log_reference=lambda x: -0.5 * x**2,
        log_target=lambda x: jnp.where(x > 0, jnp.nan, -jnp.inf),
        sample_reference=lambda key: jax.random.normal(key),
    )
    with pytest.raises(NumericalError, match=r"V is NaN at \d+ and -inf at the others of 64"):
        run(target, explorer=AutoRWMH())


def test_an_infinite_density_ratio_names_where_it_was_met():
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.factor("pole", jnp.where(x > 2.5, jnp.inf, 0.0))

    with pytest.raises(NumericalError, match=r"\+inf at draw \d+ .*, at site 'pole'"):
        run(model, n_rounds=10)


def test_an_infinite_density_ratio_in_a_scan_names_replica_chain_beta_and_scan():
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.factor("pole", jnp.where(x > 3.7, jnp.inf, 0.0))

    with pytest.raises(NumericalError) as caught:  # no draw in the pilot, some in the scans
        run(model, n_rounds=14, seed=2)
    assert "is +inf: replica" in str(caught.value)
    for word in ("chain", "beta", "round", "scan"):
        assert f", {word} " in str(caught.value)


def test_a_model_with_nothing_observed_runs_with_a_warning():
    def model():
        numpyro.sample("x", dist.Normal(0, 1))

    with pytest.warns(numpygeons.NumpygeonsWarning, match="observed"):
        pt = run(model, n_rounds=8)
    assert pt.log_z == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HMC(acceptance=1.5), "acceptance must lie in"),
        (lambda: HMC(integration_time=0), "integration_time must be positive"),
        (lambda: HMC(max_length=0), "max_length must be at least 1"),
        (lambda: HMC(jitter=1), "jitter must lie in"),
        (lambda: AutoMALA(n_refresh=0), "n_refresh must be at least 1"),
        (lambda: AutoMALA(step_size=-1), "step_size must be positive"),
        (lambda: numpygeons.MixDiagonalPreconditioner(0.8, 0.8), "sum to at most 1"),
        (lambda: numpygeons.MixDiagonalPreconditioner(np.nan, 0.8), "sum to at most 1"),
        (lambda: HMC(acceptance=np.nan), "acceptance must lie in"),
        (lambda: HMC(integration_time="long"), 'integration_time must be a number, or "auto"'),
        (lambda: HMC(n_components=-1), "n_components must not be negative"),
        (lambda: AutoHMC(n_leapfrog=2**40), "n_leapfrog must be at most 1000000"),
        (lambda: SliceSampler(expansion=["doubling"]), "expansion must be one of"),
    ],
)
def test_explorers_check_their_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HMC(acceptance="high"), "acceptance must be a number: got 'high' of type str"),
        (lambda: HMC(acceptance=jnp.ones(2)), "acceptance must be a number: got Array"),
        (lambda: HMC(acceptance=0.5j), "acceptance must be a number"),
        (lambda: HMC(max_length=2.5), "max_length must be an integer: got 2.5"),
        (lambda: HMC(preconditioner=3), r"such as DiagonalPreconditioner\(\): got 3 .* lacks"),
        (lambda: HMC(preconditioner=numpygeons.DensePreconditioner), r"DensePreconditioner\(\)$"),
        (lambda: AutoMALA(selector=int), r"selector .* class int; write SymmetricSelector\(\)"),
        (lambda: AutoMALA(n_refresh=2.5), "n_refresh must be an integer: got 2.5"),
        (lambda: MALA(step_size=None), "step_size must be a number: got None"),
        (lambda: SliceSampler(n_passes=True), "n_passes must be an integer: got True"),
        (lambda: SliceSampler(window="2"), "window must be a number: got '2'"),
        (lambda: numpygeons.DeterministicSelector(rule=int), "rule must be an object, not the"),
        (lambda: Compose(NUTS), r"write NumPyroKernel\(NUTS\)"),
        (lambda: Mix(HMC), r"write HMC\(\)"),
        (lambda: NumPyroKernel(NUTS(normal)), r"NumPyroKernel\(NUTS\), .* without the model"),
    ],
)
def test_explorers_check_the_types_of_their_parameters(make, message):
    with pytest.raises(TypeError, match=message):
        make()


EXPLORERS = {
    "HMC": HMC(),
    "HMC without mixture": HMC(n_components=0),
    "AutoMALA": AutoMALA(),
    "AutoHMC": AutoHMC(n_leapfrog=2),
    "AutoRWMH": AutoRWMH(),
    "MALA": MALA(),
    "SliceSampler": SliceSampler(),
    "doubling": SliceSampler(expansion="doubling", directions="random"),
    "NUTS": NumPyroKernel(numpyro.infer.NUTS),
    "Compose": Compose(HMC(), SliceSampler()),
    "Mix": Mix(HMC(), AutoRWMH()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLORERS)
def test_one_dimension_works_with_every_explorer(name):
    pt = run(explorer=EXPLORERS[name], n_rounds=11)
    exact = -0.5 * np.log(4 * np.pi) - 0.25 * 0.25
    assert abs(pt.log_z - exact) < 6 * pt.log_z_error
    assert abs(pt.samples["x"].mean() - 0.25) < 6 * np.sqrt(0.5 / 200)


@pytest.mark.filterwarnings("error")
def test_the_fused_driver_is_refused_where_jax_computes_on_an_accelerator(monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    monkeypatch.setattr("numpygeons.rounds.programs.compile_together", None)
    with pytest.raises(ValueError, match='computes on a gpu: use driver="device", or set JAX_PLA'):
        run()


@pytest.mark.usual("HMC-fused", "AutoMALA-fused", "SliceSampler-fused")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
@pytest.mark.parametrize("name", EXPLORERS)
def test_a_run_of_two_draws_can_be_looked_at_without_a_warning(name, driver):
    pt = run(explorer=EXPLORERS[name], n_rounds=1, driver=driver)
    assert pt.samples["x"].shape == (2,)
    assert np.isfinite(pt.log_z)
    assert not np.isfinite(pt.log_z_error)
    assert not np.any(np.isfinite(pt.log_z_interval()))
    assert pt.report().splitlines()[1].split()[:2] == ["1", "2"]
    assert pt.flags
    betas, log_z, _ = pt.log_z_curve()
    assert betas[0] == log_z[0] == 0
    assert pt.cumulative_barrier(1.0) == pytest.approx(pt.global_barrier)
    record = pt.rounds[0]
    assert np.all(np.isnan(record.energy_ac1))
    assert np.all((record.explorer_acceptance[1:] >= 0) & (record.explorer_acceptance[1:] <= 1))
    assert all(np.isfinite(numpygeons.stepping_stone_pair(pt)))


def test_two_draws_become_an_arviz_object():
    tree = run(n_rounds=1).to_arviz()
    assert tree["posterior"]["x"].shape == (1, 2)


def without_latents():
    numpyro.sample("y", dist.Normal(0, 1), obs=0.5)


def of_empty_latents():
    numpyro.sample("x", dist.Normal(jnp.zeros(0), 1).to_event(1))


@pytest.mark.parametrize("model", [without_latents, of_empty_latents])
def test_a_model_of_dimension_zero_is_refused(model):
    with pytest.raises(ModelError, match=r"dimension 0.*nothing to sample|nothing to sample.*0"):
        run(model)


def test_functions_of_dimension_zero_are_refused():
    target = numpygeons.JaxTarget(
        log_reference=lambda x: jnp.sum(x),
        log_target=lambda x: jnp.sum(x),
        sample_reference=lambda key: jnp.zeros(0),
    )
    with pytest.raises(ValueError, match="no coordinates; there is nothing to sample"):
        run(target)
