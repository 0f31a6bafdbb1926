"""Tests the device's driver, on the CPU: the fused driver's course, in blocks that are replayed."""

import re
import time
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import NUTS
from scipy import stats

import numpygeons
from numpygeons import (
    HMC,
    MALA,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    ChildProcess,
    Compose,
    Explorer,
    Mix,
    NoiseShape,
    NumericalError,
    NumPyroKernel,
    ReproducibilityError,
    SliceSampler,
    _core,
    load,
    pigeons,
)
from numpygeons._core.random import Purpose, uniforms_float32
from numpygeons.drivers import device
from numpygeons.drivers.exploration import make_explore
from numpygeons.rounds.programs import first_operands, shapes_of
from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate
from support.device_runs import check_evidence_of_two_modes, run, two_modes
from support.processes_of_tests import until
from support.run_digest import digest
from support.small_models import eight_schools, half_excluded, half_not_a_number

EXPLORERS = {
    "HMC": HMC(),
    "AutoMALA": AutoMALA(),
    "AutoHMC": AutoHMC(),
    "AutoRWMH": AutoRWMH(),
    "MALA": MALA(),
    "SliceSampler": SliceSampler(),
    "Compose": Compose(HMC(), SliceSampler()),
    "Mix": Mix(HMC(), AutoMALA()),
    "NUTS": NumPyroKernel(NUTS, max_tree_depth=3),
}


FATAL = uniforms_float32(1, Purpose.explore, 2, 4, 7, 1)[0]  # of replica 2 in round 4, scan 7


class Falls(Explorer):
    """Stays, but returns a state of likelihood zero in one scan of replica 2."""

    def noise(self, dimension):
        return NoiseShape(n_normals=0, n_uniforms=1)

    def explore(self, evaluate, state, beta, tuning, noise):
        bad = noise.uniforms[0] == FATAL
        return state._replace(v=jnp.where(bad, -jnp.inf, state.v)), jnp.ones(1, state.x.dtype)


def assert_close(a, b):
    """Agreement to what rounding may become in a few rounds of double precision."""
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def assert_same_course(got, wanted):
    """The same swaps in every scan of every round, and draws that agree."""
    assert [r.n_round_trips for r in got.rounds] == [r.n_round_trips for r in wanted.rounds]
    assert [r.n_restarts for r in got.rounds] == [r.n_restarts for r in wanted.rounds]
    np.testing.assert_array_equal(got.index_process, wanted.index_process)
    for a, b in zip(got.rounds, wanted.rounds, strict=True):
        assert_close(a.schedule, b.schedule)
        assert_close(a.swap_acceptance, b.swap_acceptance)
    for name, draws in wanted.samples.items():
        assert got.samples[name].dtype == draws.dtype
        assert_close(got.samples[name], draws)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "n_chains", "n_rounds"),
    [(eight_schools, 10, 6), (two_modes, 3, 7), (two_modes, 10, 7)],  # a funnel magnifies rounding
)
def test_the_course_is_that_of_the_fused_driver(x64, target, n_chains, n_rounds):
    settings = {"n_chains": n_chains, "n_rounds": n_rounds, "record": ["traces", "index_process"]}
    path = numpygeons.NumPyroPath(target)
    fused, got = run(path, **settings, driver="fused"), run(path, **settings)
    assert len(np.unique(got.index_process)) == n_chains
    assert_same_course(got, fused)
    other = run(path, **settings, seed=2)
    assert not np.array_equal(other.index_process, got.index_process)


@pytest.mark.usual("HMC")
@pytest.mark.parametrize("name", EXPLORERS)
def test_every_explorer_takes_the_course_of_the_fused_driver(x64, name):
    settings = {"explorer": EXPLORERS[name], "record": ["traces", "index_process"]}
    assert_same_course(run(**settings), run(**settings, driver="fused"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HMC", "SliceSampler"])
def test_explorers_run_in_single_precision(name):
    pt = run(explorer=EXPLORERS[name], n_rounds=5)
    assert pt.samples["x"].dtype == np.float32
    assert pt.rounds[-1].swap_acceptance[0] > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("n_chains", [1, 2])
def test_one_chain_and_two_are_no_special_case(x64, n_chains):
    settings = {"n_chains": n_chains, "record": ["traces", "index_process"]}
    assert_same_course(run(**settings), run(**settings, driver="fused"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "bound"), [("MOST_SCANS", 4), ("MOST_BYTES", 2_000)])
def test_how_scans_are_cut_into_calls_does_not_show(monkeypatch, name, bound):
    settings = {"explorer": MALA(), "n_rounds": 5}
    whole = run(**settings)
    monkeypatch.setattr(device, name, bound)
    calls = []
    replay = _core.engine.replay
    monkeypatch.setattr(
        _core.engine, "replay", lambda c, n, found: calls.append(n) or replay(c, n, found)
    )
    assert digest(run(**settings)) == digest(whole)
    assert sum(calls) == 2**6 - 2
    assert max(calls) == (4 if name == "MOST_SCANS" else 8)


def test_a_call_holds_as_many_scans_as_fit():
    def scan(n_bytes):
        return jax.ShapeDtypeStruct((n_bytes // 4,), np.float32)

    assert device.scans_per_call(scan(4), scan(4)) == device.MOST_SCANS
    assert device.scans_per_call(scan(2**20), scan(2**20)) == 8
    assert device.scans_per_call(scan(2**20), scan(2**20 + 4)) == 4
    assert device.scans_per_call(scan(2**28), scan(4)) == 1


@pytest.mark.parametrize("n_ahead", [1, 3])
def test_so_many_calls_are_drawn_for_in_advance_and_no_more(n_ahead):
    done = []
    wanted = [[k, 10 * k] for k in range(8)]
    got = []
    for number, result in device.computed_ahead(
        lambda k: done.append(k) or 10 * k, range(8), n_ahead
    ):
        assert until(lambda: len(done) == min(8, len(got) + 1 + n_ahead))
        time.sleep(0.01)
        assert len(done) == min(8, len(got) + 1 + n_ahead)
        got.append([number, result])
    assert got == wanted


def test_an_error_in_advance_comes_when_its_turn_does():
    ahead = device.computed_ahead(lambda k: 1 // (2 - k), range(8), 2)
    assert [next(ahead), next(ahead)] == [(0, 0), (1, 1)]
    with pytest.raises(ZeroDivisionError):
        next(ahead)


@pytest.mark.usual("HMC")
@pytest.mark.parametrize("name", ["HMC", "AutoMALA", "SliceSampler"])
def test_neither_data_nor_tables_are_copied_for_each_replica(name):
    """JAX's rule for a branch under vmap would; the largest array grows with the chains alone."""
    covariates = np.ones((503, 7), np.float32)

    def model():
        slopes = numpyro.sample("slopes", dist.Normal(0, 1).expand([7]).to_event(1))
        numpyro.sample("y", dist.Normal(covariates @ slopes, 1), obs=jnp.zeros(503))

    path, explorer = as_path(numpygeons.NumPyroPath(model), (), None), EXPLORERS[name]
    evaluate = make_evaluate(path, with_gradients=explorer.needs_gradients)
    own = first_operands(explorer, 61, path.dimension)
    shapes = shapes_of(path, evaluate, explorer, 61, 61, own).of_one_scan()
    program = jax.jit(make_explore(explorer, evaluate, 61)).lower(*shapes)
    arrays = re.findall(r"tensor<([\dx]+)x[fiu]\d+>", program.as_text())
    assert max(prod(map(int, a.split("x"))) for a in arrays) == 61 * 503


@pytest.mark.slow
def test_many_chains_in_single_precision_swap_as_the_coordinator_does():
    """The replay raises where one of 100,000 decisions differs."""
    pt = run(two_modes, n_chains=100, n_rounds=10, explorer=AutoRWMH(), record=["index_process"])
    swapped = np.mean(np.diff(pt.index_process, axis=0) != 0)
    assert 0.3 < swapped < 1


# --------------------------------------------------------------------------- the swap


@pytest.mark.usual("8-1", "1-1", "5-2")
@pytest.mark.parametrize("scan", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_swaps_are_those_of_the_index_process(scan, n):
    """Also where log u is the log ratio itself, or the next number below: nothing is rounded."""
    rng = np.random.default_rng(n)
    swapped = jax.jit(device.swap)
    n_swaps = n_stays = 0
    for _ in range(200):
        process = _core.tempering.IndexProcess.from_chains(rng.permutation(n))
        chains = np.asarray(process.chains, np.int32)
        betas = np.sort(rng.random(n))
        v = rng.normal(scale=3, size=n).astype(np.float32)
        v[rng.random(n) < 0.1] = rng.choice([-np.inf, np.nan, np.inf])
        by_chain = np.where(np.isnan(v), -np.inf, v)[np.argsort(chains)].astype(np.float64)
        ratios = _core.tempering.linear_swap_log_ratio(
            betas[:-1], betas[1:], by_chain[:-1], by_chain[1:]
        )
        near = np.stack([ratios, np.nextafter(ratios, -np.inf), np.log(rng.random(n - 1))])
        log_uniforms = near[rng.integers(3, size=n - 1), np.arange(n - 1)]
        got, replicas = swapped(
            np.int32(scan),
            chains,
            np.argsort(chains).astype(np.int32),
            v,
            device.as_words(np.append(np.diff(betas), 0)),
            device.as_words(np.append(log_uniforms, 0)),
        )
        process.apply_swaps(scan, ratios, log_uniforms)
        np.testing.assert_array_equal(got, process.chains)
        np.testing.assert_array_equal(replicas, process.replicas)
        n_swaps += np.sum(got != chains)
        n_stays += np.sum(got == chains)
    assert n_stays > 50
    assert n_swaps > 50 or (n < 3 and (n, scan) != (2, 1))


@pytest.mark.usual("now and then")
@pytest.mark.parametrize("mutant", ["the opposite", "now and then"])
def test_a_device_that_decides_otherwise_is_found_out(monkeypatch, mutant):
    right = device.accepts_swap

    def wrong(v_lower, v_upper, gap, log_uniform):
        accepted = right(v_lower, v_upper, gap, log_uniform)
        return ~accepted if mutant == "the opposite" else accepted & (v_lower < 0.75 * v_upper)

    monkeypatch.setattr(device, "accepts_swap", wrong)
    place = r"round \d, scan \d+, replica \d went to chain \d instead of \d;"
    with pytest.raises(ReproducibilityError, match=place):
        run(n_chains=4)


# --------------------------------------------------------------------------- numbers


@pytest.mark.slow
@pytest.mark.parametrize("target", [half_excluded, half_not_a_number], ids=lambda f: f.__name__)
def test_likelihood_zero_at_the_reference_is_a_number_like_others(target):
    pt = run(target, n_rounds=11, n_chains=4)
    assert pt.rounds[-1].n_zero_likelihood > 100
    assert abs(pt.log_z + np.log(2)) < stats.norm.isf(5e-7) * pt.log_z_error
    assert np.all(pt.samples["x"] > 0)


def test_no_explorer_is_asked_to_explore_at_the_reference():
    """It may have met a state of likelihood zero there, from which its loop need not end."""
    seen = []

    class Looks(Falls):
        def explore(self, evaluate, state, beta, tuning, noise):
            shape = jax.ShapeDtypeStruct((), beta.dtype)
            ones = jax.pure_callback(look, shape, beta, state.v, vmap_method="expand_dims")
            return state, ones[None]

    def look(beta, v):
        seen.append((beta, v))
        return np.ones_like(beta)

    run(half_excluded, explorer=Looks(), n_chains=4)
    betas, v = (np.concatenate(a) for a in zip(*seen, strict=True))
    assert len(betas) == 4 * (2**7 - 2)
    assert np.min(betas) > 0
    assert np.all(np.isfinite(v))


@pytest.mark.slow
def test_the_evidence_is_the_truth():
    check_evidence_of_two_modes()


def test_no_way_on_is_named_as_by_the_fused_driver():
    messages = []
    for driver in ("fused", "device"):
        with pytest.raises(NumericalError) as caught:
            run(explorer=Falls(), driver=driver)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "a state of likelihood zero: replica 2, chain" in messages[0]
    assert messages[0].endswith("round 4, scan 7")


# --------------------------------------------------------------------------- around the rounds


def test_several_threads_or_processes_are_refused_before_anything_is_compiled(
    monkeypatch, tmp_path
):
    monkeypatch.setattr("numpygeons.rounds.rounds.RoundPrograms", None)
    monkeypatch.setattr(ChildProcess, "check_programs", lambda _: None)  # with or without MPI
    with pytest.raises(ValueError, match='1 process and n_threads = 2; use driver="stepwise"'):
        run(n_threads=2)
    with pytest.raises(ValueError, match="got 3 processes"):
        run(on=ChildProcess(n_processes=3), checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_loaded_run_refuses_several_threads_too(tmp_path):
    run(n_rounds=2, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="n_threads = 2"):
        pigeons(load(tmp_path), n_rounds=3, n_threads=2)


def test_a_round_taken_up_in_its_middle_has_the_same_bits(tmp_path, monkeypatch):
    settings = {"n_rounds": 12, "n_chains": 3}  # the last one spans several batches of draws
    whole = run(**settings)
    kept = []
    monkeypatch.setenv("NUMPYGEONS_CHECKPOINT_SECONDS", "0")
    folder = tmp_path / "run"
    pt = run(**settings | {"n_rounds": 11}, checkpoint=folder)

    original = numpygeons.rounds.scan_round.Scans._show

    def killed(self, *arguments, **named):
        original(self, *arguments, **named)
        kept.append(self._coordinator.n_scans_done)
        if len(kept) == 2:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("numpygeons.rounds.scan_round.Scans._show", killed)
        with pytest.raises(SystemExit):
            pigeons(pt, n_rounds=12, show_report=False)
    loaded = load(folder)
    assert 0 < loaded._rounds.state.midway.scans.n_done < 2**12
    assert digest(pigeons(loaded, n_rounds=12, show_report=False)) == digest(whole)


def test_a_round_again_has_the_same_bits(capsys):
    run(checked_round=5, show_report=True)
    assert "round 5 has the same bits" in capsys.readouterr().out
