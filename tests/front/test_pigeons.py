"""The one call: what it returns, and that it returns the same bits whichever way it is run."""

import itertools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import numpygeons
from numpygeons import HMC, AsymmetricSelector, AutoMALA, NumPyroPath, pigeons
from numpygeons.rounds.traces import Traces
from numpygeons.settings import ALWAYS_ON, RECORDERS
from support.small_models import coin, eight_schools, normal


def run(target=eight_schools, **settings):
    return pigeons(target, **{"n_chains": 4, "n_rounds": 6, "show_report": False, **settings})


def assert_same_bits(a, b):
    assert len(a.rounds) == len(b.rounds)
    for one, other in zip(a.rounds, b.rounds, strict=True):
        for name in ("schedule", "swap_acceptance", "step_sizes", "explorer_acceptance"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.n_restarts, one.n_round_trips) == (other.n_restarts, other.n_round_trips)
        np.testing.assert_array_equal(one.log_z, other.log_z)
    assert a.samples.keys() == b.samples.keys()
    for name in a.samples:
        np.testing.assert_array_equal(a.samples[name], b.samples[name])


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture(scope="module")
def pt():
    return run(n_rounds=8)


def test_draws_are_the_sites_in_constrained_space(pt):
    assert {name: values.shape for name, values in pt.samples.items()} == {
        "mu": (256,),
        "tau": (256,),
        "theta": (256, 8),
        "best": (256,),
    }
    assert np.all(pt.samples["tau"] > 0)
    np.testing.assert_array_equal(pt.samples["best"], pt.samples["theta"].max(axis=1))
    assert numpygeons.get_sample(pt)["mu"] is pt.samples["mu"]


def test_records_have_the_shapes_of_the_contract(pt):
    assert [r.n_scans for r in pt.rounds] == [2**r for r in range(1, 9)]
    for record in pt.rounds:
        assert record.schedule.shape == (4,)
        assert record.schedule[0] == 0
        assert record.schedule[-1] == 1
        assert np.all(np.diff(record.schedule) > 0)
        assert record.swap_acceptance.shape == (3,)
        assert np.all((record.swap_acceptance >= 0) & (record.swap_acceptance <= 1))
        assert record.global_barrier == pytest.approx(np.sum(1 - record.swap_acceptance))
        for by_chain in (record.energy_ac1, record.explorer_acceptance, record.step_sizes):
            assert by_chain.shape == (4,)
            assert np.isnan(by_chain[0])
        assert record.n_gradients >= 3 * record.n_scans
        assert record.seconds > 0
    assert pt.rounds[0].compile_seconds > 0
    assert all(r.compile_seconds == 0 for r in pt.rounds[1:])
    assert numpygeons.n_tempered_restarts(pt) == pt.n_restarts == pt.rounds[-1].n_restarts
    assert numpygeons.n_round_trips(pt) == pt.n_round_trips == pt.rounds[-1].n_round_trips


def test_evidence_comes_with_its_error(pt):
    low, high = pt.log_z_interval()
    wide = pt.log_z_interval(level=0.99)
    assert wide[0] < low < pt.log_z < high < wide[1]
    assert pt.log_z_dof > 1
    assert abs(pt.log_z + 31.311347) < 6 * pt.log_z_error
    forward, backward = numpygeons.stepping_stone_pair(pt)
    assert np.isfinite(forward)
    assert np.isfinite(backward)
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\): got 95"):
        pt.log_z_interval(95)


def test_the_evidence_curve_starts_at_zero_and_ends_at_the_rounds_estimate(pt):
    betas, log_z, error = pt.log_z_curve()
    np.testing.assert_array_equal(betas, pt.schedule)
    assert log_z[0] == pytest.approx(0, abs=1e-12)
    assert error[0] == pytest.approx(0, abs=1e-9)
    # The equations of MBAR are solved up to a step of 1e-3, whose square is left.
    assert log_z[-1] == pytest.approx(pt.rounds[-1].log_z, abs=1e-6)
    _, inside, _ = pt.log_z_curve([0.1, 0.5])
    assert log_z[-1] < inside[1] < inside[0] < 0
    with pytest.raises(ValueError, match="betas must lie in"):
        pt.log_z_curve([1.5])


def test_the_barrier_is_a_function_of_beta(pt):
    assert pt.cumulative_barrier(0.0) == 0
    assert pt.cumulative_barrier(1.0) == pytest.approx(pt.global_barrier)
    grid = np.linspace(0, 1, 50)
    assert np.all(np.diff(pt.cumulative_barrier(grid)) >= 0)
    assert np.all(pt.local_barrier(grid) >= 0)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first, again, other = run(seed=3), run(seed=3), run(seed=4)
    assert_same_bits(first, again)
    assert not np.array_equal(first.samples["mu"], other.samples["mu"])


@pytest.mark.usual("float32-eight_schools-HMC")
@pytest.mark.parametrize(
    "explorer",
    [HMC(), AutoMALA(), AutoMALA(n_refresh=1, selector=AsymmetricSelector())],
    ids=["HMC", "AutoMALA", "asymmetric"],
)
@pytest.mark.parametrize("target", [eight_schools, coin], ids=lambda f: f.__name__)
def test_fused_and_stepwise_drivers_agree_in_every_bit(target, explorer, precision):
    settings = {"n_rounds": 7, "explorer": explorer}
    fused, stepwise = run(target, **settings), run(target, **settings, driver="stepwise")
    assert all(values.dtype == precision for values in fused.samples.values())
    assert_same_bits(fused, stepwise)


@pytest.mark.usual("float32")
def test_more_rounds_later_are_more_rounds_at_once(precision):
    at_once = run(n_rounds=7)
    assert_same_bits(run(n_rounds=4).extend(3), at_once)
    assert_same_bits(pigeons(run(n_rounds=5), n_chains=4, n_rounds=7, show_report=False), at_once)


def test_a_long_round_spans_several_batches_of_reference_draws():
    at_once = run(normal, n_rounds=12, n_chains=3)
    assert at_once.samples["x"].shape == (4096,)
    assert_same_bits(run(normal, n_rounds=11, n_chains=3).extend(1), at_once)
    assert len(np.unique(at_once.samples["x"])) > 3500


def test_a_run_that_goes_on_keeps_its_settings():
    pt = run(normal, n_rounds=3)
    with pytest.raises(ValueError, match="n_chains cannot change when a run goes on: got 5, had 4"):
        pigeons(pt, n_chains=5)
    with pytest.raises(ValueError, match="explorer cannot change"):
        pigeons(pt, explorer=AutoMALA())


@pytest.fixture
def compilations(caplog):
    """What JAX says of compiling, in any thread; `jax.log_compiles` is for the calling one."""
    jax.config.update("jax_log_compiles", True)
    with caplog.at_level(logging.WARNING):
        yield caplog
    jax.config.update("jax_log_compiles", False)


@pytest.mark.usual("8")
@pytest.mark.parametrize("n_rounds", [3, 8])
def test_the_round_is_compiled_once_whatever_the_number_of_rounds(n_rounds, compilations):
    run(normal, n_rounds=n_rounds)
    # Once a program: where XLA refuses an option, it says "finished" for each attempt.
    started = [m for m in compilations.messages if "Compiling jit(numpygeons_" in m]
    assert sum("numpygeons_round" in m for m in started) == 1


def test_a_path_keeps_its_compiled_programs_for_further_seeds(compilations):
    path = NumPyroPath(normal)
    first = run(path, seed=1)
    assert [m for m in compilations.messages if "numpygeons_" in m]
    compilations.clear()
    second = run(path, seed=2)
    assert not [m for m in compilations.messages if "numpygeons_" in m]
    assert second.rounds[0].compile_seconds == 0
    assert not np.array_equal(first.samples["x"], second.samples["x"])
    assert_same_bits(second, run(normal, seed=2))


def test_one_chain_is_plain_mcmc_without_evidence():
    pt = run(normal, n_chains=1, n_rounds=11)
    assert pt.schedule.tolist() == [1.0]
    assert pt.log_z is None
    assert pt.log_z_error is None
    assert pt.log_z_interval() is None
    assert pt.flags == ()
    assert pt.global_barrier == 0
    assert pt.swap_acceptance.shape == (0,)
    assert pt.n_restarts == 0
    assert float(pt.cumulative_barrier(0.3)) == 0
    assert abs(pt.samples["x"].mean() - 0.25) < 6 * np.sqrt(0.5 / 400)
    assert "log Z" not in pt.report().splitlines()[-1]


def test_two_chains_and_one_dimension_work():
    pt = run(normal, n_chains=2, n_rounds=9)
    exact = -0.5 * np.log(4 * np.pi) - 0.25 * 0.25
    assert abs(pt.log_z - exact) < 6 * pt.log_z_error


def test_no_rounds_only_initialises():
    pt = run(n_rounds=0)
    assert pt.rounds == ()
    with pytest.raises(RuntimeError, match="no round is finished"):
        pt.log_z  # noqa: B018
    assert_same_bits(pt.extend(4), run(n_rounds=4))


def test_jax_functions_are_a_target():
    target = numpygeons.JaxTarget(
        log_reference=lambda x: -0.5 * jnp.sum((x["a"] / 3) ** 2),
        log_target=lambda x: -0.5 * jnp.sum((x["a"] - 1.0) ** 2),
        sample_reference=lambda key: {"a": 3 * jax.random.normal(key, (2,))},
    )
    pt = run(target, n_rounds=11)
    assert pt.samples["a"].shape == (2048, 2)
    assert abs(pt.log_z + 2 * np.log(3)) < 6 * pt.log_z_error
    assert np.all(abs(pt.samples["a"].mean(axis=0) - 1) < 0.3)


def test_a_run_in_double_precision_can_be_read_and_continued_outside_of_it():
    with jax.enable_x64(True):
        pt, whole = run(coin, n_rounds=4), run(coin, n_rounds=5)
    assert pt.samples["p1"].dtype == np.float64
    pt.extend(1)
    assert_same_bits(pt, whole)


def test_recorders_keep_what_was_asked_for():
    pt = run(normal, record=["online", "index_process"])
    with pytest.raises(RuntimeError, match="ask for the recorder 'traces'"):
        pt.samples  # noqa: B018
    kept = run(normal, record=["traces", "online"])
    np.testing.assert_allclose(pt.mean()["x"], kept.samples["x"].mean(), rtol=1e-6)
    np.testing.assert_allclose(pt.var()["x"], kept.samples["x"].var(ddof=1), rtol=1e-5)
    assert np.sort(pt.index_process, axis=1).tolist() == [[0, 1, 2, 3]] * 64
    with pytest.raises(RuntimeError, match="index_process"):
        kept.index_process  # noqa: B018
    with pytest.raises(RuntimeError, match="online"):
        run(normal).mean()


def test_recorders_that_are_always_on_may_be_named_and_change_nothing():
    pt, other = run(normal, record=["traces"]), run(normal, record=["traces", *ALWAYS_ON])
    assert_same_bits(pt, other)
    for name in itertools.chain(*ALWAYS_ON.values()):
        assert np.any(np.isfinite(getattr(pt.rounds[-1], name)))


@pytest.mark.parametrize("name", [*RECORDERS, *ALWAYS_ON])
def test_the_call_says_what_each_recorder_keeps(name):
    assert f'"{name}"' in pigeons.__doc__


@pytest.mark.usual("record1-14")
@pytest.mark.parametrize(
    ("record", "kept"), [(["timing"], 0), (["traces"], 14), (["online", "timing"], 14)]
)
def test_states_are_collected_only_for_recorders_that_look_at_them(record, kept, monkeypatch):
    numbers = []
    append = Traces.append
    monkeypatch.setattr(
        Traces, "append", lambda self, x, lp: (numbers.append(len(lp)), append(self, x, lp))[1]
    )
    pigeons(coin, n_chains=3, n_rounds=3, record=record, show_report=False)
    assert sum(numbers) == kept
