"""A user's explorer: what it must give, and what is said when it does not."""

import importlib.util
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import numpygeons
from numpygeons import (
    HMC,
    Compose,
    Explorer,
    Mix,
    NoiseShape,
    NumericalError,
    RoundOutcome,
    log_density,
    pigeons,
)
from numpygeons.xla import compilation
from support import ROOT
from support.small_models import coin, eight_schools, normal

DRIVERS = ("fused", "stepwise", "device")
ONE_BY_ONE = ("fused", "stepwise")  # explore one replica after another


@dataclass(frozen=True)
class Walk(Explorer):
    """Random-walk Metropolis with one fault, and the defaults for all the rest."""

    fault: str = ""

    def explore(self, evaluate, state, beta, tuning, noise):
        key = jax.random.wrap_key_data(noise.key, impl="threefry2x32")
        there = evaluate(state.x + jax.random.normal(key, state.x.shape, state.x.dtype))
        change = log_density(there, beta) - log_density(state, beta)
        accepted = jnp.log(jax.random.uniform(jax.random.fold_in(key, 1))) < change
        new = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), there, state)
        return self.spoilt(new, jnp.minimum(1, jnp.exp(change))[None], jax.random.uniform(key))

    def spoilt(self, state, statistics, uniform):
        bad = jnp.where(uniform < 0.1, jnp.nan, 0).astype(state.x.dtype)
        results = {
            "": (state, statistics),
            "shape of x": (state._replace(x=state.x[None]), statistics),
            "dtype of x": (state._replace(x=state.x.astype(jnp.float16)), statistics),
            "dtype of v": (state._replace(v=jnp.int32(0)), statistics),
            "number as v": (state._replace(v=0.0), statistics),
            "gradients": (state._replace(grad_v=state.x), statistics),
            "two statistics": (state, jnp.concatenate([statistics, statistics])),
            "scalar statistic": (state, statistics[0]),
            "list of statistics": (state, [statistics[0]]),
            "dtype of statistics": (state, statistics.astype(jnp.int32)),
            "no statistics": state,
            "x alone": (state.x, statistics),
            "nan in x": (state._replace(x=state.x + bad), statistics),
            "nan in V": (state._replace(v=state.v + bad), statistics),
            "nan in log reference": (state._replace(log_reference=bad), statistics),
            "nan in statistics": (state, statistics + bad),
            "infinite x": (state._replace(x=state.x + jnp.where(bad == 0, 0, jnp.inf)), statistics),
        }
        return results[self.fault]


@dataclass(frozen=True)
class Tuned(Walk):
    """Starts and adapts as it is told."""

    started: Any = None
    adapted: Any = None

    def start(self, start):
        return self.started(len(start.betas))

    def adapt(self, tuning, outcome):
        return self.adapted(len(outcome.betas))


def run(explorer, target=normal, **settings):
    settings = {"n_chains": 3, "n_rounds": 5, "show_report": False, **settings}
    return pigeons(target, explorer=explorer, **settings)


@pytest.fixture
def nothing_compiles(monkeypatch):
    def refuse(work):
        raise AssertionError("something was compiled")

    monkeypatch.setattr(compilation, "in_another_thread", refuse)


@pytest.mark.usual("fused")
@pytest.mark.parametrize("driver", DRIVERS)
def test_only_explore_must_be_written(driver):
    pt = run(Walk(), n_rounds=11, driver=driver)
    exact = -0.5 * np.log(4 * np.pi) - 0.25 * 0.25
    assert abs(pt.log_z - exact) < 6 * pt.log_z_error
    assert np.all(pt.rounds[-1].explorer_acceptance[1:] > 0.2)
    assert np.all(np.isnan(pt.rounds[-1].step_sizes))
    with pytest.raises(TypeError, match="abstract"):
        Explorer()


@pytest.mark.slow
def test_fused_and_stepwise_drivers_agree_in_every_bit():
    for explorer in (Walk(), Compose(Walk(), HMC()), Mix(Walk(), HMC())):
        fused, stepwise = (run(explorer, coin, driver=driver) for driver in ONE_BY_ONE)
        np.testing.assert_array_equal(fused.samples["p1"], stepwise.samples["p1"])
        assert fused.log_z == stepwise.log_z


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("shape of x", ValueError, r"state with x of shape \(1,\): got shape \(1, 1\)"),
        ("dtype of x", TypeError, r"x of dtype float32: got dtype float16; write \.astype"),
        ("dtype of v", TypeError, "v of dtype float32: got dtype int32"),
        (
            "number as v",
            TypeError,
            r"with v as an array of shape \(\) and dtype float32: got float",
        ),
        ("gradients", ValueError, r"grad_v of shape \(0,\): got shape \(1,\)"),
        ("two statistics", ValueError, r"\('acceptance',\) of shape \(1,\): got shape \(2,\)"),
        ("scalar statistic", ValueError, r"of shape \(1,\): got shape \(\)"),
        ("list of statistics", TypeError, r"got list; write jnp\.stack"),
        ("dtype of statistics", TypeError, "of dtype float32: got dtype int32"),
        ("no statistics", TypeError, r"a pair \(State, statistics\): got State"),
        ("x alone", TypeError, r"a pair \(State, statistics\): got \(an array of shape \(1,\)"),
    ],
)
@pytest.mark.usefixtures("nothing_compiles")
def test_what_explore_must_not_return_is_named_before_anything_is_compiled(fault, error, message):
    for explorer in (Walk(fault), Compose(HMC(), Walk(fault)), Mix(HMC(), Walk(fault))):
        if fault == "gradients" and explorer != Walk(fault):
            continue  # beside HMC states carry gradients, so that it is no fault
        with pytest.raises(error, match="Walk.explore must return.*" + message):
            run(explorer)


@pytest.mark.usual("nan in V-fused", "nan in x-stepwise", "infinite x-fused")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "fault", ["nan in x", "nan in V", "nan in log reference", "nan in statistics", "infinite x"]
)
def test_what_is_not_a_number_at_run_time_names_replica_chain_beta_and_scan(fault, driver):
    with pytest.raises(NumericalError) as caught:
        run(Walk(fault), driver=driver, n_rounds=6)
    for word in ("replica", "chain", "beta", "round", "scan"):
        assert f" {word} " in str(caught.value)
    assert "chain 0" not in str(caught.value)
    assert "Walk.explore returned that state" in caught.value.__notes__[0]


@pytest.mark.usual("fused", "stepwise")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_users_exception_passes_through_untouched(driver):
    class Mine(Exception):
        pass

    error = Mine("mine")

    class Raises(Walk):
        def explore(self, evaluate, state, beta, tuning, noise):
            raise error

    with pytest.raises(Mine) as caught:
        run(Raises(), driver=driver)
    assert caught.value is error
    assert str(error) == "mine"
    assert not any("Raises" in note for note in getattr(error, "__notes__", ()))


@pytest.mark.parametrize(
    ("started", "error", "message"),
    [
        (lambda n: np.ones(n + 1), ValueError, r"got tuning of shape \(4,\), wanted \(3, ...\)"),
        (lambda n: {"step": 0.1}, ValueError, r"got tuning\['step'\] of shape \(\), wanted \(3"),
        (lambda n: np.full(n, "a"), TypeError, "numbers: got tuning of type ndarray, dtype <U1"),
        (lambda n: np.ones(n, complex), TypeError, "dtype complex128"),
        (lambda n: object(), TypeError, "of type object"),
    ],
)
@pytest.mark.usefixtures("nothing_compiles")
def test_a_tuning_without_one_row_per_chain_is_refused_before_anything_is_compiled(
    started, error, message
):
    with pytest.raises(error, match="Tuned.start must return.*" + message):
        run(Tuned(started=started))


@pytest.mark.parametrize(
    ("adapted", "error", "message"),
    [
        (lambda n: {"b": np.ones((n, 2))}, TypeError, "same pytree as start, after round 1"),
        (lambda n: None, TypeError, "same pytree as start, after round 1"),
        (lambda n: {"a": np.ones((n, 3))}, ValueError, r"\(3, 3\) for tuning\['a'\], wanted"),
        (lambda n: {"a": np.ones((n - 1, 2))}, ValueError, "one row per chain"),
        (lambda n: {"a": np.ones((n, 2), int)}, TypeError, r"got int64 .* write .*astype\(float64"),
    ],
)
def test_adapt_must_return_what_start_did(adapted, error, message):
    with pytest.raises(error, match="Tuned.adapt must.*" + message):
        run(Tuned(started=lambda n: {"a": np.ones((n, 2))}, adapted=adapted))


def test_the_row_of_the_chain_reaches_explore_and_adapt_sees_the_round():
    seen = []

    @dataclass(frozen=True)
    class Numbered(Walk):
        statistics = ("acceptance", "row")

        def start(self, start):
            return {"row": np.arange(len(start.betas), dtype=np.int32)}

        def explore(self, evaluate, state, beta, tuning, noise):
            state, statistics = super().explore(evaluate, state, beta, tuning, noise)
            row = tuning["row"].astype(state.x.dtype)
            return state, jnp.append(statistics, row)

        def adapt(self, tuning, outcome):
            seen.append(outcome)
            return {"row": tuning["row"] + 10}

    run(Numbered(), n_rounds=3)
    assert all(isinstance(outcome, RoundOutcome) for outcome in seen)
    assert [outcome.n_scans for outcome in seen] == [2, 4, 8]
    for i, outcome in enumerate(seen):
        np.testing.assert_allclose(outcome.statistics["row"][1:], 10 * i + np.array([1, 2]))


class Lacking:
    def explore(self):
        pass


class Unhashable(Walk):
    __hash__ = None


def with_attributes(**attributes):
    return type("Changed", (Walk,), attributes)()


@pytest.mark.parametrize(
    ("explorer", "error", "message"),
    [
        (Lacking(), TypeError, "Lacking lacks statistics, needs_gradients.*numpygeons.Explorer"),
        (Walk, TypeError, r"not a class; write Walk\(\)"),
        (3, TypeError, r"must be an Explorer, got 3 of type int; write HMC\(\)"),
        (Unhashable(), TypeError, "must be hashable.*frozen dataclass"),
        (with_attributes(statistics="acceptance"), TypeError, "tuple of names: got 'acceptance'"),
        (with_attributes(statistics=("a", "a")), ValueError, "must be different names"),
        (with_attributes(needs_gradients=1), TypeError, "needs_gradients must be True or False"),
        (with_attributes(noise=lambda self, d: (d, 1)), TypeError, "must return a NoiseShape"),
        (
            with_attributes(noise=lambda self, d: NoiseShape(n_normals=-1, n_uniforms=0)),
            ValueError,
            "n_normals must not be negative: got -1",
        ),
        (
            with_attributes(noise=lambda self, d: NoiseShape(n_normals=1.5, n_uniforms=0)),
            TypeError,
            "n_normals must be an integer: got 1.5",
        ),
        (with_attributes(n_snapshots=lambda self, n, d: None), TypeError, "n_snapshots.*got None"),
        (Compose(HMC(), Unhashable()), TypeError, "must be hashable"),
    ],
)
@pytest.mark.usefixtures("nothing_compiles")
def test_explorers_that_are_none_are_refused_before_anything_is_compiled(explorer, error, message):
    with pytest.raises(error, match=message):
        run(explorer)


@pytest.mark.usual("fused")
@pytest.mark.parametrize("driver", ONE_BY_ONE)
def test_an_exploration_that_calls_a_library_is_not_compiled_as_one_function(driver, monkeypatch):
    class Rotates(Walk):
        def explore(self, evaluate, state, beta, tuning, noise):
            factor = jnp.linalg.cholesky(jnp.eye(2, dtype=state.x.dtype))
            x = factor @ jnp.sort(state.x)  # the coin's density does not mind
            return evaluate(x), jnp.ones(1, state.x.dtype)

    refused = []
    monkeypatch.setattr(compilation.logger, "debug", lambda *message: refused.append(message))
    pt = run(Rotates(), coin, driver=driver)
    assert not pt._rounds.driver.program.as_one_function
    assert not refused  # known before XLA is asked
    assert run(Walk(), coin, driver=driver)._rounds.driver.program.as_one_function
    np.testing.assert_array_less(pt.samples["p1"], pt.samples["p2"] + 1e-6)


@pytest.mark.filterwarnings("error", "ignore::numpygeons.errors.NumpygeonsWarning")
def test_an_explorer_that_does_not_move_runs():
    class Stays(Walk):
        def explore(self, evaluate, state, beta, tuning, noise):
            return state, jnp.ones(1, state.x.dtype)

    pt = run(Stays(), eight_schools)
    assert np.isfinite(pt.log_z)


def test_the_example_keeps_the_density():
    """Its rule, by enumeration of what it accepts: min(1, ratio), and nothing of density zero."""
    source = (ROOT / "examples" / "own_explorer.py").read_text().split("low, high =")[0]
    spec = importlib.util.spec_from_loader("own_explorer", loader=None)
    example = importlib.util.module_from_spec(spec)
    exec(source, example.__dict__)
    explorer = example.RandomWalk()

    def evaluate(x):
        v = jnp.where(x[0] > 2, -jnp.inf, -jnp.sum(x**2))
        return numpygeons.State(x, -0.5 * jnp.sum(x**2), v, jnp.zeros(0), jnp.zeros(0))

    def moved(to, uniform, beta=0.5):
        noise = numpygeons.Noise(jnp.array([to - 1.0]), jnp.array([uniform]), jnp.zeros(0))
        state, statistics = explorer.explore(evaluate, evaluate(jnp.ones(1)), beta, 1.0, noise)
        assert float(state.x[0]) in (1.0, to)
        assert np.isfinite(state.v)
        return float(state.x[0]) == to, float(statistics[0])

    ratio = np.exp(-(1.5**2 - 1))  # -x^2 / 2 - beta x^2, beta = 1 / 2
    assert moved(1.5, 0.999 * ratio) == (True, pytest.approx(ratio))
    assert moved(1.5, 1.001 * ratio) == (False, pytest.approx(ratio))
    assert moved(0.5, 0.999) == (True, 1)
    assert moved(2.5, 1e-30) == (False, 0)
