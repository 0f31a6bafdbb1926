"""AutoMALA is exact: it agrees with a plain form that forgets nothing, and keeps each density."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons import (
    AsymmetricSelector,
    AutoMALA,
    SymmetricSelector,
)
from numpygeons.explorers import auto_step
from numpygeons.explorers.auto_step import AutoStepTuning
from numpygeons.target.potential import make_evaluate
from support.exact_start import (
    THRESHOLD,
    BrokenGradient,
    HalfExcluded,
    Normal,
    explored,
    p_value,
)
from support.mutants import auto_mala_of, mutant
from support.nets import EARLY_REJECTION, NO_CHECK
from support.slow_explorers import Banana, auto_mala_step

SELECTORS = {"symmetric": SymmetricSelector(), "asymmetric": AsymmetricSelector()}
BETA, SCALE = 0.7, np.array([0.8, 1.5])
PASSED_IS_ACCEPTED = 1e-300  # a uniform


class Case:
    """Thousands of random states, momenta, bounds and base steps, and what the plain form says."""

    def __init__(self, kind, n=3_000):
        rng = np.random.default_rng(11)
        self.kind = kind
        self.x, self.p = rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
        self.uniforms = rng.uniform(size=(n, 3))
        self.base = 2 ** rng.uniform(-6, 4, size=n)
        self.base[: n // 20] = 2 ** rng.uniform(-30, 40, size=n // 20)  # beyond the search
        self.slow = [self.slow_step(*row) for row in self.rows()]

    def rows(self):
        return zip(self.x, self.p, self.base, self.uniforms, strict=True)

    def slow_step(self, x, p, base, uniforms):
        return auto_mala_step(self.kind, Banana(), x, p, BETA, base, SCALE, uniforms)

    def fast(self, x=None, p=None, accept=None, module=auto_step):
        """State and statistics of `_step` at all states; `accept` replaces the last uniform."""
        explorer = auto_mala_of(module)(selector=SELECTORS[self.kind])
        evaluate = make_evaluate(Banana(), with_gradients=True)

        def one(x, p, base, uniforms):
            return explorer._step(evaluate, evaluate(x), BETA, base, SCALE, p, uniforms)

        uniforms = self.uniforms.copy()
        if accept is not None:
            uniforms[:, 2] = accept
        with jax.enable_x64(True):
            state, statistics = jax.jit(jax.vmap(one))(
                self.x if x is None else x, self.p if p is None else p, self.base, uniforms
            )
        columns = dict(zip(explorer.statistics, np.asarray(statistics).T, strict=True))
        return jax.tree.map(np.asarray, state), columns

    def slow_column(self, name):
        return np.array([getattr(step, name) for step in self.slow])

    def differs(self, fast):
        """Where the fast form decides otherwise than the plain one."""
        same = (fast["reversibility"] == 1) == self.slow_column("passed")
        same &= exponents(fast) == self.slow_column("exponent")
        probability = self.slow_column("probability")
        return ~(same & np.isclose(fast["acceptance"], probability, rtol=1e-8, atol=1e-12))


@cache
def make_case(kind):
    return Case(kind)


@pytest.fixture(params=list(SELECTORS))
def case(request):
    return make_case(request.param)


def exponents(fast):
    """Exponents that the searches found; XLA's powers of two are not exact."""
    e = np.log2(fast["step_factor"])
    np.testing.assert_allclose(e, np.round(e), atol=1e-12)
    return np.round(e)


@pytest.mark.usual("asymmetric")
def test_a_step_is_that_of_the_plain_form_which_recomputes_everything(case):
    state, fast = case.fast()
    assert not np.any(case.differs(fast))
    probability = case.slow_column("probability")
    accepted = case.uniforms[:, 2] < probability
    end = np.where(accepted[:, None], case.slow_column("x"), case.x)
    np.testing.assert_allclose(state.x, end, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(state.x[~accepted], case.x[~accepted])
    # The sample holds all that can happen.
    exponent = case.slow_column("exponent")
    assert {-14, -3, -2, -1, 0, 1, 2, 3, 14} < set(exponent)
    assert 0.3 < np.mean(accepted) < 0.9
    refused = case.slow_column("backward") != exponent
    assert 0.02 < np.mean(refused) < 0.5


@pytest.mark.usual("symmetric")
def test_what_travels_with_a_state_belongs_to_it(case):
    state, _ = case.fast()
    with jax.enable_x64(True):
        anew = jax.jit(jax.vmap(make_evaluate(Banana(), with_gradients=True)))(state.x)
    for kept, fresh in zip(state, anew, strict=True):
        np.testing.assert_allclose(kept, fresh, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_no_step_costs_more_gradients_than_the_plain_form_and_an_unchanged_one_costs_one(case):
    _, fast = case.fast()
    slow = case.slow_column("n_gradients")
    assert np.all(fast["n_gradients"] <= slow)
    if case.kind == "symmetric":
        unchanged = np.array([s.forward_trials == [0] and s.passed for s in case.slow])
        assert np.sum(unchanged) > 100
        np.testing.assert_array_equal(fast["n_gradients"][unchanged], 1)
        forgets = mutant(auto_step, "(search.phase == BACKWARD) & (search", "False & (search")
        _, fast = case.fast(module=forgets)
        np.testing.assert_array_equal(fast["n_gradients"][unchanged], 2)


@pytest.mark.slow
def test_a_passed_proposal_with_its_momentum_turned_comes_back_with_the_same_step(case):
    passed = case.slow_column("passed") & (case.slow_column("probability") > PASSED_IS_ACCEPTED)
    assert np.sum(passed) > 1_000
    there, forward = case.fast(accept=PASSED_IS_ACCEPTED)
    back, backward = case.fast(there.x, -case.slow_column("p"), accept=PASSED_IS_ACCEPTED)
    error = np.abs(back.x - case.x) / (1 + np.abs(case.x) + np.abs(there.x))
    assert np.max(error[passed]) < 1e-9
    np.testing.assert_array_equal(backward["step_factor"][passed], forward["step_factor"][passed])
    np.testing.assert_array_equal(backward["reversibility"][passed], 1)
    ratio = forward["acceptance"][passed] / backward["acceptance"][passed]
    np.testing.assert_allclose(ratio, np.exp(case.slow_column("difference")[passed]), rtol=1e-6)


@pytest.mark.slow
def test_a_search_back_that_doubles_once_and_steps_back_to_an_unchanged_step_passes():
    case = make_case("asymmetric")
    trap = np.array([s.forward_trials == [0] and s.backward_trials == [0, 1] for s in case.slow])
    assert np.sum(trap) > 50
    _, fast = case.fast()
    np.testing.assert_array_equal(fast["reversibility"][trap], 1)
    _, caught = case.fast(module=mutant(auto_step, *EARLY_REJECTION))
    np.testing.assert_array_equal(caught["reversibility"][trap], 0)
    # Under the symmetric selector an unchanged step is judged alike from both ends.
    unchanged = [s for s in make_case("symmetric").slow if s.forward_trials == [0]]
    assert {tuple(s.backward_trials) for s in unchanged} == {(0,)}


@pytest.mark.usual("symmetric-no check", "symmetric-early rejection")
@pytest.mark.parametrize(
    ("old", "new", "harmless_for"),
    [
        (*NO_CHECK, None),
        ("found = jnp.where(stepped_back, e - 1, e)", "found = e", None),
        ("proposal, -search.difference)", "proposal, search.difference)", "symmetric"),
        ("Point(proposal.state, -proposal.p,", "Point(proposal.state, proposal.p,", None),
        ("keep = forward & ~stepped_back", "keep = forward", None),
        ("jnp.abs(e) < LARGEST_EXPONENT", "jnp.abs(e) < 13", None),
        (*EARLY_REJECTION, None),
    ],
    ids=["no check", "no step back", "sign of the way back", "momentum not turned", "kept too far",
         "range", "early rejection"],
)  # fmt: skip
def test_a_mutant_of_the_search_differs_from_the_plain_form(case, old, new, harmless_for):
    _, fast = case.fast(module=mutant(auto_step, old, new))
    assert np.any(case.differs(fast)) == (case.kind != harmless_for)


def tuning_of(target):
    return AutoStepTuning(step_size=2 * target.step, scale=np.array(target.scale))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SELECTORS)
@pytest.mark.parametrize("outside", [-np.inf, np.nan], ids=["zero", "not a number"])
def test_a_proposal_where_the_likelihood_is_zero_is_rejected(outside, kind):
    target = HalfExcluded(outside)
    for dtype in (np.float32, np.float64):
        explorer = AutoMALA(selector=SELECTORS[kind])
        copies = explored(explorer, target, 1.0, tuning_of(target), dtype=dtype)
        assert np.all(copies.after > 0)
        assert np.all(np.isfinite(copies.state.v))
        assert p_value(target, 1.0, copies) > THRESHOLD


@pytest.mark.slow
@pytest.mark.parametrize("kind", SELECTORS)
def test_gradients_that_are_not_numbers_do_not_change_the_law(kind):
    target = BrokenGradient()
    for beta in (0.1, 1.0):
        copies = explored(AutoMALA(selector=SELECTORS[kind]), target, beta, tuning_of(target))
        assert np.mean(copies.before != copies.after) > 0.5
        assert p_value(target, beta, copies) > THRESHOLD


@pytest.mark.usual("asymmetric")
@pytest.mark.parametrize("kind", SELECTORS)
def test_a_step_that_overflows_is_rejected_with_probability_zero(kind):
    explorer, tuning = AutoMALA(selector=SELECTORS[kind]), tuning_of(Normal())
    tuning = tuning._replace(step_size=1e30)
    copies = explored(explorer, Normal(), 1.0, tuning, dtype=np.float32, n=100)
    np.testing.assert_array_equal(copies.after, copies.before)
    np.testing.assert_array_equal(copies.statistics["acceptance"], 0)


@pytest.mark.slow
def test_a_state_that_no_step_leaves_ends_after_the_last_exponent():
    """All the world but one point has likelihood zero: the search gives up, and stays."""

    class Nowhere(HalfExcluded):
        def v(self, x):
            return jnp.where(x[0] == 0.25, 0.0, self.outside)

        def draw(self, rng, beta, n):
            return np.full((n, 1), 0.25)

    explorer = AutoMALA(n_refresh=1)
    copies = explored(explorer, Nowhere(-np.inf), 1.0, tuning_of(Nowhere(0)), n_scans=1, n=50)
    np.testing.assert_array_equal(copies.after, 0.25)
    np.testing.assert_array_equal(copies.statistics["acceptance"], 0)
    np.testing.assert_array_equal(copies.statistics["n_gradients"], 15)
