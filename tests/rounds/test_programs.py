"""Tests that rounds run the programs that their explorer needs, each compiled once, when due."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import numpygeons
from numpygeons import (
    HMC,
    AutoMALA,
    Compose,
    DiagonalPreconditioner,
    IdentityPreconditioner,
    Mix,
    SliceSampler,
    load,
    pigeons,
)
from numpygeons.explorers.base import Start
from numpygeons.explorers.hmc_tuning import Ways
from numpygeons.rounds.programs import first_operands
from support.run_digest import digest
from support.small_models import coin, eight_schools, normal

RECORD = ["traces", "index_process"]
SETTINGS = {"n_chains": 4, "n_rounds": 9, "show_report": False}
TEN_CHAINS = {**SETTINGS, "n_chains": 10}  # enough states to trust the fits of rounds 6 and 7


def two_modes():
    """In nine dimensions, where chains take independence steps if their modes are apart."""
    x = numpyro.sample("x", dist.Normal(0, 3).expand([9]).to_event(1))
    near = [-8 * jnp.sum((x - centre) ** 2) for centre in (-2, 2)]
    numpyro.factor("modes", jnp.logaddexp(*near))


def n_round_programs(pt):
    return len([key for key in pt._rounds.path.programs if key[0] == "fused"])


def rounds_that_compiled(pt):
    return [record.round for record in pt.rounds if record.compile_seconds > 0]


# --------------------------------------------------------------------------- what HMC reads


def tuning_with(explorer, n_independent, dimension):
    n = len(n_independent)
    tuning = explorer.start(
        Start(betas=np.linspace(0, 1, n), centre=np.zeros(dimension), scale=np.ones(dimension))
    )
    regions = tuning.regions._replace(n_independent=np.array(n_independent, np.int32))
    return tuning._replace(regions=regions)


@pytest.mark.parametrize(
    ("n_independent", "dimension", "preconditioner", "plain", "mixed"),
    [
        ([0, 0, 0], 8, DiagonalPreconditioner(), False, True),
        ([0, 0, 0], 8, IdentityPreconditioner(), True, False),
        ([0, 2, 1], 8, IdentityPreconditioner(), False, True),
        ([0, 0, 0], 9, DiagonalPreconditioner(), True, False),
        ([0, 2, 1], 9, DiagonalPreconditioner(), True, True),
        ([1], 2, DiagonalPreconditioner(), False, True),
    ],
)
def test_hmc_reads_of_its_tuning_the_ways_that_chains_take(
    n_independent, dimension, preconditioner, plain, mixed
):
    explorer = HMC(preconditioner=preconditioner)
    ways = explorer.operands(tuning_with(explorer, n_independent, dimension))
    assert (ways.plain is not None, ways.mixed is not None) == (plain, mixed)


def test_without_mixtures_there_is_one_way():
    ways = first_operands(HMC(n_components=0), 3, 2)
    assert ways.plain is not None
    assert ways.mixed is None


@pytest.mark.usual("coin")
@pytest.mark.parametrize("model", [normal, coin], ids=lambda model: model.__name__)
def test_before_its_mixtures_are_fitted_a_chain_goes_as_without(x64, model):
    """Its region is a single normal of its scale; only the order of the arithmetic differs."""
    settings = {**SETTINGS, "n_rounds": 5, "record": RECORD}
    mixed = pigeons(model, **settings)
    plain = pigeons(model, **settings, explorer=HMC(n_components=0))
    assert [key[-2] for key in mixed._rounds.path.programs if key[0] == "fused"] != [
        key[-2] for key in plain._rounds.path.programs if key[0] == "fused"
    ]
    np.testing.assert_array_equal(mixed.index_process, plain.index_process)
    for name, draws in plain.samples.items():
        np.testing.assert_allclose(mixed.samples[name], draws, rtol=1e-7, err_msg=name)
    for got, wanted in zip(mixed.rounds, plain.rounds, strict=True):
        np.testing.assert_array_equal(got.n_gradients, wanted.n_gradients)


def test_combinations_read_what_their_parts_do():
    for combination in (Compose(SliceSampler(), HMC()), Mix(SliceSampler(), HMC())):
        _, ways = first_operands(combination, 3, 9)
        assert isinstance(ways, Ways)
        assert ways.mixed is None


# --------------------------------------------------------------------------- what is compiled


@pytest.mark.usual("normal-3", "eight_schools-10")
@pytest.mark.parametrize("n_chains", [3, 10])
@pytest.mark.parametrize("model", [normal, eight_schools], ids=lambda model: model.__name__)
def test_most_models_have_one_program(model, n_chains):
    """In few dimensions that of mixtures, in more that of none."""
    settings = {**SETTINGS, "n_chains": n_chains, "n_rounds": 11}
    pt = pigeons(numpygeons.NumPyroPath(model), **settings)
    assert (n_round_programs(pt), rounds_that_compiled(pt)) == (1, [1])
    takes_mixed = pt.rounds[-1].chosen["independence steps"][1:] > 0
    assert np.all(takes_mixed == (model is normal))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    path = numpygeons.NumPyroPath(two_modes)
    return pigeons(path, **TEN_CHAINS, checkpoint=folder)


@pytest.mark.slow
def test_a_program_is_compiled_in_the_first_round_that_needs_it(whole):
    assert (n_round_programs(whole), rounds_that_compiled(whole)) == (2, [1, 8])
    assert np.all(whole.rounds[6].chosen["independence steps"][1:] == 0)
    assert np.any(whole.rounds[7].chosen["independence steps"][1:] > 0)
    again = pigeons(whole._rounds.path, **TEN_CHAINS)
    assert (rounds_that_compiled(again), digest(again)) == ([], digest(whole))


@pytest.mark.usual("7")
@pytest.mark.parametrize("n_before", [6, 7, 8])
def test_a_run_goes_on_with_the_program_that_was_due(whole, tmp_path, n_before):
    pigeons(two_modes, **{**TEN_CHAINS, "n_rounds": n_before}, checkpoint=tmp_path / "run")
    went_on = pigeons(load(tmp_path / "run"), **TEN_CHAINS)
    assert digest(went_on) == digest(whole)


@pytest.mark.usual("settings0")
@pytest.mark.parametrize("settings", [{"n_threads": 2}, {"driver": "stepwise"}, {"lanes": 2}])
def test_other_ways_to_work_change_programs_in_the_same_rounds(whole, settings):
    other = pigeons(two_modes, **TEN_CHAINS, **settings)
    assert rounds_that_compiled(other) == [1, 8]
    if "lanes" not in settings:
        assert digest(other) == digest(whole)


@pytest.mark.usual("AutoMALA*")
@pytest.mark.parametrize("explorer", [AutoMALA(), Compose(AutoMALA(), SliceSampler())], ids=repr)
def test_an_explorer_that_reads_all_of_its_tuning_has_one_program(explorer):
    pt = pigeons(numpygeons.NumPyroPath(normal), **SETTINGS, explorer=explorer)
    assert (n_round_programs(pt), rounds_that_compiled(pt)) == (1, [1])
