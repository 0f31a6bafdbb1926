"""Kernels of NumPyro keep the density of a chain, and the evidence they give is the exact one."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.infer
import pytest
from numpyro.infer import HMC, NUTS, SA, BarkerMH
from numpyro.infer.mcmc import MCMCKernel
from scipy import stats

from numpygeons import NumPyroKernel, NumPyroPath, pigeons
from numpygeons.explorers import numpyro_kernel
from numpygeons.explorers.base import Noise, RoundOutcome, Start
from numpygeons.explorers.numpyro_kernel import KernelTuning
from numpygeons.target.potential import make_evaluate
from support.exact_start import (
    THRESHOLD,
    BrokenGradient,
    Funnel,
    HalfExcluded,
    Normal,
    SkewedAndHeavy,
    explored,
    p_value,
)
from support.mutants import mutant
from support.small_models import coin, eight_schools, normal


class RandomWalk(MCMCKernel):
    """A user's own kernel: no step, no gradients, no acceptance; it flips a sign now and then."""

    sample_field = "place"

    def __init__(self, potential_fn, width=0.7):
        self.potential_fn, self.width = potential_fn, width

    def init(self, rng_key, num_warmup, init_params, model_args, model_kwargs):
        return Walk(init_params, self.potential_fn(init_params), rng_key)

    def sample(self, walk, model_args, model_kwargs):
        key, *keys = jax.random.split(walk.key, 3)
        there = walk.place + self.width * jax.random.normal(keys[0], walk.place.shape)
        energy = self.potential_fn(there)
        accepted = jnp.log(jax.random.uniform(keys[1])) < walk.energy - energy
        place, energy = jax.tree.map(
            lambda a, b: jnp.where(accepted, a, b), (there, energy), (walk.place, walk.energy)
        )
        return Walk(place, energy, key)


@jax.tree_util.register_pytree_node_class
class Walk:
    def __init__(self, place, energy, key):
        self.place, self.energy, self.key = place, energy, key

    def tree_flatten(self):
        return (self.place, self.energy, self.key), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)


EXPLORERS = {
    "NUTS": NumPyroKernel(NUTS, max_tree_depth=4),
    "HMC": NumPyroKernel(HMC, num_steps=3),
    "BarkerMH": NumPyroKernel(BarkerMH, n_steps=2),
    "own": NumPyroKernel(RandomWalk, n_steps=2),
}


def tuning_of(target, step=None):
    return KernelTuning(step_size=step or target.step, scale=np.array(target.scale))


@pytest.mark.usual("NUTS-SkewedAndHeavy", "own-Normal")
@pytest.mark.parametrize(
    ("target", "dtype"),
    [(Normal(), np.float64), (SkewedAndHeavy(), np.float64), (Funnel(), np.float32)],
    ids=["Normal", "SkewedAndHeavy", "Funnel"],
)
@pytest.mark.parametrize("name", EXPLORERS)
def test_exploring_from_an_exact_start_keeps_the_density(name, target, dtype):
    for beta in (0.1, 1.0):
        copies = explored(
            EXPLORERS[name], target, beta, tuning_of(target), dtype=dtype, n_scans=2, n=10_000
        )
        acceptance = copies.statistics["acceptance"].mean()
        assert 0.1 < acceptance < 0.995, "the accept step has too little to do to be tested"
        assert np.mean(np.any(copies.after != copies.before, axis=1)) > 0.2
        assert p_value(target, beta, copies) > THRESHOLD


@pytest.mark.usual("gradient of the start")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    log = log_density(there, beta)\n", "    log = log_density(there, 1.2 * beta)\n"),
        ("there: State = jax.lax.cond(moved, lambda: evaluate(end * scale)",
         "there: State = jax.lax.cond(moved, lambda: evaluate(1.1 * end * scale)"),
        ("at_start = _known(-log_density(state, beta)",
         "at_start = _known(1 - log_density(state, beta)"),
        ("at_start = _known(-log_density(state, beta), -gradient(state, beta) * scale)",
         "at_start = _known(-log_density(state, beta), -gradient(state, 0 * beta) * scale)"),
    ],
    ids=["beta", "end", "energy of the start", "gradient of the start"],
)  # fmt: skip
def test_a_mutant_does_not_keep_the_density(old, new):
    explorer = mutant(numpyro_kernel, old, new).NumPyroKernel(HMC, num_steps=3)
    copies = explored(explorer, Normal(), 1.0, tuning_of(Normal()), n=10_000)
    assert p_value(Normal(), 1.0, copies) < THRESHOLD


@pytest.mark.usual("own-nan")
@pytest.mark.parametrize(
    ("name", "outside"),
    [("NUTS", -np.inf), ("HMC", np.nan), ("BarkerMH", -np.inf), ("own", np.nan)],
)
def test_states_of_likelihood_zero_are_never_returned(name, outside):
    target = HalfExcluded(outside)
    copies = explored(EXPLORERS[name], target, 1.0, tuning_of(target), n_scans=3, n=10_000)
    assert np.all(copies.after > 0)
    assert np.all(np.isfinite(copies.state.v))
    assert p_value(target, 1.0, copies) > THRESHOLD


def test_a_kernel_that_does_not_look_at_the_density_is_held_where_it_is_positive():
    class Careless(RandomWalk):
        def sample(self, walk, model_args, model_kwargs):
            key, normal = jax.random.split(walk.key)
            place = walk.place + jax.random.normal(normal, walk.place.shape)
            return Walk(place, walk.energy, key)

    target = HalfExcluded(-np.inf)
    copies = explored(NumPyroKernel(Careless), target, 1.0, tuning_of(target), n=1_000)
    assert np.all(copies.after > 0)
    np.testing.assert_allclose(copies.state.v, 1.5 * copies.after[:, 0], rtol=1e-12)
    assert np.mean(copies.after != copies.before) > 0.5


@pytest.mark.parametrize("outside", [-np.inf, np.nan], ids=["zero", "not a number"])
def test_the_energy_of_a_kernel_is_minus_the_log_density_of_the_chain(outside):
    target, beta, scale = HalfExcluded(outside), 0.3, jnp.array([2.0])
    calls = []

    def evaluate(x):
        calls.append(True)
        return make_evaluate(target, with_gradients=True)(x)

    value_and_slope = jax.value_and_grad(numpyro_kernel._potential(evaluate, beta, scale))
    value, slope = value_and_slope(jnp.array([0.7]))  # x = 1.4
    assert calls == [True]  # one evaluation for both
    assert float(value) == pytest.approx(0.5 * 1.4**2 - beta * 1.5 * 1.4)
    assert float(slope[0]) == pytest.approx(2 * (1.4 - beta * 1.5))
    value, slope = value_and_slope(jnp.array([-0.7]))
    assert value == np.inf
    assert np.all(np.isfinite(slope))


@pytest.mark.slow
def test_gradients_that_are_not_numbers_do_not_change_the_law():
    target = BrokenGradient()
    copies = explored(EXPLORERS["HMC"], target, 1.0, tuning_of(target), n=20_000)
    assert np.mean(copies.before != copies.after) > 0.3
    assert p_value(target, 1.0, copies) > THRESHOLD


@pytest.mark.usual("NUTS")
@pytest.mark.parametrize("name", ["NUTS", "HMC", "BarkerMH"])
def test_a_step_that_overflows_leaves_the_state_as_it_was(name):
    tuning = tuning_of(Normal(), step=1e30)
    # A scale that is no power of two: dividing by it and back again loses bits.
    tuning = tuning._replace(scale=np.array([0.7, 1.3]))
    copies = explored(EXPLORERS[name], Normal(), 1.0, tuning, dtype=np.float32, n=300)
    np.testing.assert_array_equal(copies.after, copies.before)
    np.testing.assert_array_equal(copies.statistics["acceptance"], 0)
    if name != "BarkerMH":
        np.testing.assert_array_equal(copies.statistics["diverging"], 1)


@pytest.mark.usual("own")
@pytest.mark.parametrize("name", EXPLORERS)
def test_evaluations_are_counted_and_the_start_is_not_evaluated_again(name):
    explorer, target, calls = EXPLORERS[name], Normal(), []
    evaluate = make_evaluate(target, with_gradients=explorer.needs_gradients)

    def counting(x):
        jax.debug.callback(lambda: calls.append(True))
        return evaluate(x)

    @jax.jit
    def explore(state, key):
        noise = Noise(jnp.zeros(0), jnp.zeros(0), key)
        return explorer.explore(counting, state, jnp.float32(1), tuning_of(target), noise)

    state, total, n_moved = evaluate(jnp.ones(2)), 0, 0
    for i in range(40):
        after, statistics = explore(state, np.array([0, i], np.uint32))
        n_moved += bool(np.any(after.x != state.x))
        total += statistics[explorer.statistics.index("n_gradients")]
        state = after
    jax.effects_barrier()
    assert total == len(calls)
    assert n_moved > 0
    if name == "HMC":
        assert n_moved < 40
        assert total == 40 * 3 + n_moved


@pytest.mark.slow
def test_what_travels_with_the_state_belongs_to_it():
    with jax.enable_x64(True):
        copies = explored(EXPLORERS["HMC"], Normal(), 1.0, tuning_of(Normal()), n=1_000)
        fresh = jax.vmap(make_evaluate(Normal(), with_gradients=True))(copies.state.x)
    for kept, anew in zip(copies.state, fresh, strict=True):
        np.testing.assert_allclose(kept, anew, rtol=1e-12, atol=1e-12)


def test_what_a_kernel_needs_is_seen_from_what_it_does():
    assert EXPLORERS["NUTS"].needs_gradients
    assert not EXPLORERS["own"].needs_gradients
    assert EXPLORERS["NUTS"].statistics == ("acceptance", "n_gradients", "diverging")
    assert EXPLORERS["own"].statistics == ("acceptance", "n_gradients")


def outcome_of(acceptance, n_scans=256, squared_deviations=1.0):
    betas = np.array([0.0, 0.5, 1.0])
    return RoundOutcome(
        round=8,
        n_scans=n_scans,
        betas=betas,
        new_betas=betas,
        statistics={"acceptance": np.array([np.nan, *acceptance])},
        counts=np.full(3, 1000.0),
        means=np.zeros((3, 1)),
        squared_deviations=np.full((3, 1), 1000.0 * squared_deviations),
    )


@pytest.mark.parametrize(("kernel", "wanted"), [(NUTS, 0.8), (BarkerMH, 0.4)])
def test_the_step_follows_the_acceptance_that_the_kernel_wants(kernel, wanted):
    start = Start(betas=np.array([0.0, 0.5, 1.0]), centre=np.zeros(1), scale=np.full(1, 3.0))
    explorer = NumPyroKernel(kernel, step_size=0.3)
    tuning = explorer.start(start)
    np.testing.assert_array_equal(tuning.step_size, 0.3)
    after = explorer.adapt(tuning, outcome_of([wanted - 0.2, wanted + 0.1]))
    assert after.step_size[1] < 0.3 < after.step_size[2]
    same = explorer.adapt(tuning, outcome_of([wanted, wanted]))
    np.testing.assert_allclose(same.step_size[1:], 0.3)
    np.testing.assert_allclose(same.scale[1:], 1, rtol=0.05)  # from the visits, not from the start
    own = NumPyroKernel(RandomWalk)
    assert np.all(np.isnan(own.start(start).step_size))
    np.testing.assert_allclose(
        own.adapt(own.start(start), outcome_of([0.1, 0.1])).scale[1:], 1, 0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("explorer", "model"),
    [
        (NumPyroKernel(NUTS), coin),
        (NumPyroKernel(HMC, num_steps=4), coin),
        (NumPyroKernel(BarkerMH, n_steps=3), coin),
        (NumPyroKernel(RandomWalk), eight_schools),
    ],
    ids=["NUTS", "HMC", "BarkerMH", "own"],
)
def test_fused_and_stepwise_drivers_agree_in_every_bit(model, explorer):
    def run(driver):
        return pigeons(
            model, n_chains=4, n_rounds=7, explorer=explorer, driver=driver, show_report=False
        )

    fused, stepwise = run("fused"), run("stepwise")
    assert fused._rounds.driver.program.as_one_function
    assert fused.log_z == stepwise.log_z
    for site, values in fused.samples.items():
        np.testing.assert_array_equal(values, stepwise.samples[site])
    for one, other in zip(fused.rounds, stepwise.rounds, strict=True):
        np.testing.assert_array_equal(one.step_sizes, other.step_sizes)
        assert one.n_gradients == other.n_gradients


@pytest.mark.slow
def test_nuts_finds_the_evidence_of_eight_schools_within_its_error():
    path = NumPyroPath(eight_schools)
    runs = [
        pigeons(
            path, n_chains=4, n_rounds=10, explorer=NumPyroKernel(NUTS), seed=seed,
            show_report=False,
        )
        for seed in range(1, 11)
    ]  # fmt: skip
    log_z = np.array([pt.log_z for pt in runs])
    t = (log_z.mean() + 31.311347) / (log_z.std(ddof=1) / np.sqrt(len(runs)))
    assert 2 * stats.t.sf(abs(t), len(runs) - 1) > THRESHOLD
    for pt in runs:
        distance = abs(pt.log_z + 31.311347) / pt.log_z_error
        assert len(runs) * 2 * stats.t.sf(distance, pt.log_z_dof) > THRESHOLD
        last = pt.rounds[-1]
        assert np.all(np.abs(last.explorer_acceptance[1:] - 0.8) < 0.15)
        assert last.n_gradients > 3 * last.n_scans


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (numpyro.infer.HMCGibbs, "HMCGibbs takes no potential_fn.*use NumPyroKernel.*NUTS"),
        (numpyro.infer.DiscreteHMCGibbs, "sum discrete sites out"),
        (numpyro.infer.MixedHMC, "sum discrete sites out"),
        (numpyro.infer.HMCECS, "give the model all data"),
        (numpyro.infer.AIES, "AIES moves many chains at a time.*SliceSampler"),
        (numpyro.infer.ESS, "ESS moves many chains at a time"),
        (SA, "SA keeps a set of points"),
        (numpyro.infer.SVI, "a class of MCMC kernels.*got SVI"),
        (NUTS(normal), r"a class, not a kernel: write NumPyroKernel\(NUTS\)"),
        ("NUTS", "a class of MCMC kernels.*got 'NUTS'"),
    ],
)
def test_kernels_that_cannot_work_are_refused_with_what_to_use(kernel, message):
    with pytest.raises(TypeError, match=message):
        NumPyroKernel(kernel)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_steps": 0}, ValueError, "n_steps must be at least 1: got 0"),
        ({"n_steps": 2.0}, TypeError, "n_steps must be an integer: got 2.0"),
        ({"model": normal}, TypeError, "cannot be given model here, the model is the target"),
        ({"dense_mass": True}, TypeError, "dense_mass here, the scale is diagonal"),
        ({"inverse_mass_matrix": np.ones(2)}, TypeError, "the scale is tuned per chain"),
        ({"max_depth": 3}, TypeError, "HMC takes no argument 'max_depth': it takes .*'num_steps'"),
        ({"kinetic_fn": []}, TypeError, "kinetic_fn must be hashable.*got list"),
        ({"step_size": 0}, ValueError, "step_size must be positive: got 0"),
        ({"step_size": "a"}, ValueError, "step_size must be positive: got 'a'"),
        ({"target_accept_prob": 1.5}, ValueError, r"must lie in \(0, 1\): got 1.5"),
        ({"num_steps": 3, "trajectory_length": 1.0}, ValueError, "give one of them"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        NumPyroKernel(HMC, **arguments)


def test_equal_kernels_share_their_compiled_programs():
    a, b = NumPyroKernel(NUTS, max_tree_depth=5), NumPyroKernel(NUTS, max_tree_depth=5)
    assert a == b
    assert hash(a) == hash(b)
    assert a != NumPyroKernel(NUTS, max_tree_depth=6)
    assert a != NumPyroKernel(NUTS, n_steps=2, max_tree_depth=5)


def test_the_examples_in_the_docstrings_work():
    outcome = doctest.testmod(numpyro_kernel)
    assert outcome.attempted > 0
    assert outcome.failed == 0
