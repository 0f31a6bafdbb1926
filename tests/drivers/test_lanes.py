"""Tests replicas that are explored in step, as batches."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.infer
import pytest

import numpygeons
from numpygeons import HMC, AutoMALA, Compose, Noise, NumPyroKernel, SliceSampler, pigeons
from numpygeons.explorers.base import Proposals
from numpygeons.explorers.hmc_tuning import Ways, mixed_way, plain_way
from numpygeons.explorers.tables import row_of
from numpygeons.target.potential import make_evaluate
from support.run_digest import digest
from support.small_models import coin, eight_schools, half_excluded, normal

SETTINGS = {"n_rounds": 5, "show_report": False}
EXPLORERS = [
    HMC(),
    AutoMALA(),
    SliceSampler(),
    Compose(HMC(n_components=0), SliceSampler()),
    NumPyroKernel(numpyro.infer.NUTS),
]


@pytest.fixture
def two_cores(monkeypatch):
    """As many workers as are asked for, on a machine with one core too."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.mark.usual("4")
@pytest.mark.parametrize("n_chains", [1, 4])
def test_auto_is_one_replica_after_another_on_a_cpu(n_chains):
    auto = pigeons(normal, **SETTINGS, n_chains=n_chains)
    one = pigeons(normal, **SETTINGS, n_chains=n_chains, lanes=1)
    assert digest(auto) == digest(one)
    assert digest(pigeons(normal, **SETTINGS, n_chains=n_chains, seed=2)) != digest(one)


@pytest.mark.usual("HMC*-7-3")
@pytest.mark.parametrize(
    ("explorer", "n_chains", "lanes"),
    [(HMC(), 2, 2), (HMC(), 7, 100), *((explorer, 7, 3) for explorer in EXPLORERS)],
    ids=repr,
)
def test_batches_explore_as_single_replicas_do(x64, explorer, n_chains, lanes):
    path = numpygeons.NumPyroPath(eight_schools)
    settings = {**SETTINGS, "n_rounds": 3, "n_chains": n_chains, "explorer": explorer}
    one = pigeons(path, **settings, lanes=1)
    batches = pigeons(path, **settings, lanes=lanes)
    programs = batches._rounds.path.programs
    assert {key[3] for key in programs if key[0] == "fused"} == {
        1,
        min(lanes, settings["n_chains"]),
    }
    for name, draws in one.samples.items():
        np.testing.assert_allclose(batches.samples[name], draws, rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(
        batches._rounds.state.data.replicas, one._rounds.state.data.replicas
    )
    np.testing.assert_allclose(batches.rounds[-1].n_gradients, one.rounds[-1].n_gradients)


@pytest.mark.slow
def test_of_two_ways_that_a_batch_computes_the_one_that_is_not_taken_takes_no_step(monkeypatch):
    """A loop of a batch goes on for its longest lane, here of a way that no lane takes."""
    pt = pigeons(normal, n_chains=3, n_rounds=6, show_report=False)
    evaluate, explorer = make_evaluate(pt._rounds.path, with_gradients=True), HMC()
    tuning = pt._rounds.state.tuning
    assert tuning.regions.n_independent[2] > 0
    shape = explorer.noise(1)
    half = np.full((shape.n_uniforms,), 0.5, np.float32)
    proposals = (np.zeros((shape.n_proposals, k), np.float32) for k in (1, 3))
    components = np.zeros(shape.n_proposals, np.int32)
    noise = Noise(half[:1], half, np.zeros(0), Proposals(*proposals, components))
    ways = Ways(plain_way(tuning), mixed_way(tuning))
    tables, noise = jax.tree.map(jnp.asarray, (ways, noise))
    steps = []
    loop = jax.lax.fori_loop
    monkeypatch.setattr(
        jax.lax, "fori_loop", lambda a, b, *rest: (steps.append(int(b)), loop(a, b, *rest))[1]
    )
    monkeypatch.setattr(jax.lax, "cond", lambda _, a, b, *given: (a(*given), b(*given))[0])
    state = evaluate(np.zeros(1, np.float32))
    own = row_of(tables, jnp.int32(2))
    _, statistics = explorer.explore(evaluate, state, np.float32(1), own, noise)
    n_steps = tuning.regions.n_independent[2] + tuning.length[2]
    assert steps == [n_steps, 0]
    assert statistics[1] == n_steps


@pytest.mark.slow
@pytest.mark.parametrize("explorer", [HMC(), SliceSampler()], ids=repr)
def test_an_exact_draw_without_a_density_at_the_target_is_no_trouble_to_a_batch(x64, explorer):
    settings = {**SETTINGS, "n_chains": 3, "explorer": explorer}
    one = pigeons(half_excluded, **settings, lanes=1)
    batches = pigeons(half_excluded, **settings, lanes=3)
    assert np.isneginf(one._rounds.state.data.v).any()
    np.testing.assert_allclose(batches.samples["x"], one.samples["x"], rtol=1e-6)
    np.testing.assert_allclose(batches.rounds[-1].n_gradients, one.rounds[-1].n_gradients)


@pytest.mark.usual("3-stepwise")
@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
@pytest.mark.parametrize("lanes", [2, 3, 7])
def test_the_number_of_threads_does_not_show_in_batches(driver, lanes):
    path = numpygeons.NumPyroPath(coin)
    settings = {**SETTINGS, "n_rounds": 7, "n_chains": 7, "lanes": lanes, "driver": driver}
    one = pigeons(path, **settings)
    two = pigeons(path, **settings, n_threads=2)
    assert two._rounds._coordinator.n_workers == 2
    assert digest(two) == digest(one)


def test_batches_find_the_evidence():
    pt = pigeons(eight_schools, n_chains=6, n_rounds=10, lanes=6, show_report=False)
    assert pt.log_z_error < 0.2
    assert abs(pt.log_z + 31.311347) < 6 * pt.log_z_error


@pytest.mark.slow
def test_a_run_keeps_its_lanes():
    pt = pigeons(normal, **SETTINGS, n_chains=3, lanes=3)
    with pytest.raises(ValueError, match="lanes cannot change when a run goes on: got 2, had 3"):
        pigeons(pt, n_chains=3, lanes=2)
    pigeons(pt, n_chains=3, n_rounds=6, show_report=False)
    whole = pigeons(normal, **SETTINGS | {"n_rounds": 6}, n_chains=3, lanes=3)
    assert digest(pt) == digest(whole)


def test_lanes_are_written_down_with_a_run(tmp_path):
    settings = {**SETTINGS, "n_chains": 3, "lanes": 3}
    pigeons(normal, **settings, checkpoint=tmp_path / "run")
    loaded = numpygeons.load(tmp_path / "run")
    assert loaded._rounds.settings.lanes == 3
    loaded.extend(1)
    assert digest(loaded) == digest(pigeons(normal, **settings | {"n_rounds": 6}))
