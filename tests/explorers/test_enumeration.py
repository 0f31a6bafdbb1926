"""Enumerates the explorers' accept rules on a lattice: the kernel keeps the density to 1e-14.

The state is one of a few points, any density may stand there, and the gradient is zero, so that a
move of size +-1 in units of the scale leads from point to point. All that is random is enumerated
but the bounds of a search and what a preconditioner draws, given which each kernel is exact too.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from numpygeons import (
    MALA,
    AsymmetricSelector,
    AutoRWMH,
    Compose,
    Mix,
)
from numpygeons.explorers import auto_step, compose, hmc, slice_sampler
from numpygeons.explorers.auto_step import AutoStepTuning
from numpygeons.explorers.base import Noise, Proposals
from numpygeons.explorers.hmc_tuning import Mixed, Plain, Ways
from numpygeons.explorers.mixture import Mixtures
from numpygeons.target.potential import State
from support.mutants import auto_mala_of, hmc_of, mutant
from support.nets import (
    EARLY_REJECTION,
    HMC_MUTANTS,
    MIXTURE_MUTANTS,
    PRECONDITIONERS,
    SEARCH_MUTANTS,
    SEARCHED,
)

EXACT = 1e-14
SEEN = 1e-4  # the least defect of a mutant
SPACING = 0.25
N_POINTS = 24
BETA = 0.7
LARGEST = 2  # exponent of a search: moves of 1/4 to 4
ACCEPT, REFUSE = 1e-300, 1 - 1e-16  # uniforms
RNG = np.random.default_rng(4)
LOG_REFERENCE = RNG.normal(size=N_POINTS)
V = 1.5 * RNG.normal(size=N_POINTS)
V[[6, 17]] = -np.inf  # two holes
LAW = np.exp(LOG_REFERENCE + BETA * V)
LAW /= LAW.sum()
POINTS = np.arange(N_POINTS)[:, None] * SPACING
STARTS = np.flatnonzero(LAW)  # a chain is never where its density is zero
BOUNDS = RNG.uniform(size=(12, 2))


@pytest.fixture(autouse=True)
def _doubles(x64):
    """In double precision."""


def evaluate(x, valued=True):
    index = jnp.round(x[0] / SPACING).astype(jnp.int32)
    inside = (index >= 0) & (index < N_POINTS)
    at = jnp.clip(index, 0, N_POINTS - 1)
    v = jnp.where(inside, jnp.asarray(V)[at], -jnp.inf)
    v = jnp.where(valued, v, jnp.nan)
    return State(x, jnp.asarray(LOG_REFERENCE)[at], v, jnp.zeros(1), jnp.zeros(1))


def explored(explorer, tuning, normals, uniforms, proposals=None):
    """Where all starts lead, as indices, and the statistics by name; one row per row of noise.

    Both have shape (number of starts, number of rows), or with a last axis more.
    """

    def one(x, normals, uniforms, proposals):
        noise = Noise(normals, uniforms, jnp.zeros(0, jnp.uint32), proposals)
        state, statistics = explorer.explore(
            evaluate, evaluate(x), jnp.asarray(BETA), tuning, noise
        )
        return state.x[0], statistics

    over_noise = jax.vmap(one, in_axes=(None, 0, 0, 0))
    x, statistics = jax.jit(jax.vmap(over_noise, in_axes=(0, None, None, None)))(
        POINTS[STARTS], np.asarray(normals, float), np.asarray(uniforms, float), proposals
    )
    index = np.asarray(x) / SPACING
    np.testing.assert_allclose(index, np.rint(index), atol=1e-9)
    columns = np.moveaxis(np.asarray(statistics), -1, 0)
    return np.rint(index).astype(int), dict(zip(explorer.statistics, columns, strict=True))


def defect(moves):
    """The largest change of the law by the kernel of `moves`: (index, probability) arrays, shape
    (number of starts, ...), whatever is left staying where it is."""
    after = np.zeros(N_POINTS)
    left = np.ones(len(STARTS))
    for index, probability in moves:
        np.add.at(after, index, (LAW[STARTS] * probability.T).T)
        left = left - probability.reshape(len(STARTS), -1).sum(axis=1)
    assert np.all(left > -1e-12)
    after[STARTS] += LAW[STARTS] * left
    return np.max(np.abs(after - LAW))


# Searched steps: MALA, AutoMALA, AutoHMC, AutoRWMH


def search_defect(explorer, draws=((0.1, 0.0),)):
    """The worst over all bounds, and over what the preconditioner draws; momenta +1 and -1 with
    probability 1/2."""
    tuning = AutoStepTuning(step_size=np.float64(1), scale=np.array([2.0]))
    given = [[*pair, *bounds] for pair in draws for bounds in BOUNDS]
    rows = [[*fixed, ACCEPT] for fixed in given for _ in (1, -1)]
    normals = [[p] for _ in given for p in (1.0, -1.0)]
    end, statistics = explored(explorer, tuning, normals, rows)
    alpha = statistics["acceptance"]
    assert 0.05 < alpha.mean() < 0.95
    pairs = [slice(2 * i, 2 * i + 2) for i in range(len(given))]
    return max(defect([(end[:, pair], 0.5 * alpha[:, pair])]) for pair in pairs)


def one_step(make, preconditioner):
    explorer = make(preconditioner)
    return type(explorer)(**{**vars(explorer), "n_refresh": 1})


@pytest.mark.usual("AutoHMC-mixed diagonal", "AutoMALA asymmetric-dense")
@pytest.mark.parametrize("kind", PRECONDITIONERS)
@pytest.mark.parametrize("name", SEARCHED)
def test_a_searched_step_keeps_the_law(name, kind, monkeypatch):
    monkeypatch.setattr(auto_step, "LARGEST_EXPONENT", LARGEST)
    explorer = one_step(SEARCHED[name], PRECONDITIONERS[kind])
    # Of a mixture: the diagonal, the identity, and either end of what lies between.
    draws = [(0.1, 0), (0.5, 0), (0.9, 0), (0.9, 1)] if "mixed" in kind else [(0.1, 0)]
    assert search_defect(explorer, draws) < EXACT


@pytest.mark.usual("early rejection", "no check")
@pytest.mark.parametrize("name", [*SEARCH_MUTANTS, "early rejection"])
def test_enumeration_catches_a_faulty_search(name):
    changes = SEARCH_MUTANTS | {"early rejection": EARLY_REJECTION}
    search = mutant(auto_step, *changes[name])
    search.LARGEST_EXPONENT = LARGEST
    explorer = auto_mala_of(search)(n_refresh=1, selector=AsymmetricSelector())
    assert search_defect(explorer) > SEEN


# HMC: a trajectory, an independence step, a trajectory in a region


def trajectory_defect(module=hmc, length=3):
    plain = Plain(step_size=np.float64(0.5), length=np.int32(length), scale=np.array([0.5]))
    explorer = module.HMC(n_components=0, jitter=0)
    end, statistics = explored(
        explorer, Ways(plain, None), [[1.0], [-1.0]], [[0.5, ACCEPT, 0.5, 0.5]] * 2
    )
    return defect([(end, 0.5 * statistics["acceptance"])])


def mixture(factors):
    """Three components on the lattice."""
    weights, means = np.array([0.5, 0.3, 0.2]), SPACING * np.array([5.0, 11.0, 18.0])
    factors = SPACING * np.array(factors)
    row = Mixtures(
        log_weights=np.log(weights),
        log_heights=np.log(weights) - np.log(factors),
        means=means[:, None],
        factors=factors[:, None, None],
        centres=np.array([2.0]),
        whiteners=1 / factors[None],
        offsets=(means - 2.0) / factors,
    )

    def parts(x):
        return np.exp(-0.5 * ((x[..., None] - means) / factors) ** 2) * weights / factors

    return row, parts


def mixed(module, row, length):
    """HMC with one independence step before a trajectory."""
    mixed = Mixed(
        step_size=np.float64(1),
        length=np.int32(length),
        n_independent=np.int32(1),
        mixture=row,
    )
    explorer = module.HMC(n_components=3, jitter=0, max_independent=1)
    return explorer, jax.tree.map(jnp.asarray, Ways(None, mixed))


def independence_defect(module=hmc):
    """Proposals are the points of the lattice, with the probabilities of the mixture."""
    row, parts_of = mixture([1, 1, 1])
    explorer, tuning = mixed(module, row, length=0)
    x = np.arange(-12, N_POINTS + 12) * SPACING
    parts = parts_of(x)
    weights = parts.sum(axis=1)
    n = len(x)
    proposals = Proposals(
        x[:, None, None],
        np.log(np.stack([weights, parts[:, 0] / weights, np.full(n, ACCEPT)], axis=-1))[:, None],
        np.zeros((n, 1), np.int32),
    )
    uniforms = [[0.5, 0.5, 0.5, 0.5, 0.5]] * n
    end, statistics = explored(explorer, tuning, [[0.0]] * n, uniforms, proposals)
    return defect([(end, weights / weights.sum() * statistics["independent_acceptance"])])


def region_defect(module=hmc):
    """Each region has its own step; it is picked with the probability of the component. The only
    proposal lies outside, and is refused."""
    row, parts_of = mixture([1, 2, 4])
    parts = parts_of(POINTS[STARTS, 0])
    regions = parts / parts.sum(axis=1, keepdims=True)
    explorer, tuning = mixed(module, row, length=1)
    cuts = np.cumsum(regions, axis=1)
    moves = []
    for k in range(3):
        middles = cuts[:, k] - 0.5 * regions[:, k]  # the uniform that picks k differs by start
        for p in (1.0, -1.0):
            rows = [[0.5, ACCEPT, 0.5, 0.5, u] for u in middles]
            n = len(rows)
            outside = Proposals(
                np.full((n, 1, 1), -10.0), np.zeros((n, 1, 3)), np.zeros((n, 1), np.int32)
            )
            end, statistics = explored(explorer, tuning, [[p]] * n, rows, outside)
            own = np.arange(len(STARTS))
            alpha = statistics["acceptance"][own, own]
            moves.append((end[own, own], 0.5 * regions[:, k] * alpha))
    return defect(moves)


@pytest.mark.usual("trajectory", "independence step")
@pytest.mark.parametrize(
    ("defect_of", "change"),
    [
        (trajectory_defect, HMC_MUTANTS["beta of the end"]),
        (independence_defect, MIXTURE_MUTANTS["no ratio of proposals"]),
        (region_defect, MIXTURE_MUTANTS["ratio of regions upside down"]),
    ],
    ids=["trajectory", "independence step", "trajectory in a region"],
)
def test_a_move_of_hmc_keeps_the_law_and_its_mutant_does_not(defect_of, change):
    assert defect_of() < EXACT
    assert defect_of(hmc_of(*change)) > SEEN


# Combinations


def combination_defect(combination):
    """Two parts with steps of their own; momenta and decisions are enumerated, and for a mixture
    which part it is."""
    tunings = tuple(
        AutoStepTuning(step_size=np.float64(step), scale=np.ones(1)) for step in (0.5, 1.25)
    )
    signs, decisions = (1.0, -1.0), (ACCEPT, REFUSE)
    first = [[0.25], [0.75]] if type(combination).__name__ == "Mix" else [[]]
    rows = list(itertools.product(first, signs, signs, decisions, decisions))
    uniforms = [[*u, *[0.5] * 4, a, *[0.5] * 4, b] for u, _, _, a, b in rows]
    end, statistics = explored(combination, tunings, [r[1:3] for r in rows], uniforms)
    weights = np.full(end.shape, 1 / (len(first) * 4))
    for part, column in ((0, 3), (1, 4)):
        alpha = statistics[f"{part}.acceptance"]
        ran = statistics[f"{part}.share"] == 1
        accepted = np.array([row[column] == ACCEPT for row in rows])
        weights *= np.where(ran, np.where(accepted, alpha, 1 - alpha), 0.5)
    return defect([(end, weights)])


PARTS = MALA(n_refresh=1), AutoRWMH(n_refresh=1, selector=MALA().selector)


@pytest.mark.usual("Compose")
@pytest.mark.parametrize("combination", [Compose, Mix])
def test_a_combination_keeps_the_law(combination):
    assert combination_defect(combination(*PARTS)) < EXACT


@pytest.mark.usual("Mix-*")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "Compose",
            "z, u, p = z + shape.n_normals, u + shape.n_uniforms, p + shape.n_proposals",
            "z, u, p = z, u, p",
        ),
        ("Mix", "jax.lax.switch(chosen,", "jax.lax.switch(chosen * (state.x[0] > 2),"),
    ],
)
def test_enumeration_catches_a_faulty_combination(name, old, new):
    broken = getattr(mutant(compose, old, new), name)
    assert combination_defect(broken(*PARTS)) > SEEN


# Slices: an interval is as probable from each point of the slice that it may be left for

N_OFFSETS = 4  # places of the first window, in steps of the lattice
SLICES = RNG.uniform(size=(20, N_POINTS)) < np.linspace(0.3, 0.9, 20)[:, None]


def slice_defect(module=slice_sampler, expansion="stepping_out", budget=4):
    """The largest difference of P(interval | x) [y allowed] and P(interval | y) [x allowed]."""
    sampler = module.SliceSampler(window=1.0, max_expansions=budget, expansion=expansion)
    doubling = expansion == "doubling"
    choices = 2**budget if doubling else budget
    numbers = np.arange(choices)
    lefts = np.where((numbers[:, None] >> np.arange(budget)) & 1, 0.75, 0.25)
    centre = 0.5 * SPACING  # points are the middles of cells; ends of intervals lie inside cells

    def inside_of(cells, x):
        def inside(t):
            cell = jnp.floor((x + t) / SPACING).astype(jnp.int32)
            known = (cell >= 0) & (cell < N_POINTS)
            return known & cells[jnp.clip(cell, 0, N_POINTS - 1)]

        return inside

    def interval(cells, x, offset, number):
        low = -(offset + 0.25) / N_OFFSETS
        if doubling:
            draw = lambda i: jnp.asarray(lefts)[number, i - 3]  # noqa: E731
            ends = sampler._doubled(inside_of(cells, x), (low, low + 1), draw)
        else:
            draw = lambda _: (number + 0.5) / budget  # noqa: E731
            ends = sampler._stepped_out(inside_of(cells, x), (low, low + 1), draw)
        return x + ends[0], x + ends[1]

    def allowed(cells, x, y, low, high):
        if not doubling:
            return jnp.bool_(True)
        inside = inside_of(cells, x)
        return sampler._reachable(inside, y - x, low - x, high - x, jnp.bool_(True))[0]

    @jax.jit
    def all_of(cells):
        x = jnp.arange(N_POINTS) * SPACING + centre
        of_x = jax.vmap(jax.vmap(interval, (None, None, None, 0)), (None, None, 0, None))
        low, high = jax.vmap(of_x, (None, 0, None, None))(
            cells, x, jnp.arange(N_OFFSETS), jnp.asarray(numbers)
        )
        low, high = low.reshape(N_POINTS, -1), high.reshape(N_POINTS, -1)
        to_y = jax.vmap(allowed, (None, None, 0, None, None))
        each = jax.vmap(jax.vmap(to_y, (None, None, None, 0, 0)), (None, 0, None, 0, 0))
        return low, high, each(cells, x, x, low, high)

    worst = 0.0
    x = np.arange(N_POINTS) * SPACING + centre
    for cells in SLICES:
        low, high, good = map(np.asarray, all_of(cells))
        chance = {}
        for i in np.flatnonzero(cells):
            for interval_low, interval_high, to in zip(low[i], high[i], good[i], strict=True):
                key = round(16 * interval_low), round(16 * interval_high)
                for j in np.flatnonzero(cells & (x > interval_low) & (x < interval_high) & to):
                    chance[key, i, j] = chance.get((key, i, j), 0) + 1 / low[i].size
        for (key, i, j), p in chance.items():
            worst = max(worst, abs(p - chance.get((key, j, i), 0.0)))
    return worst


def test_an_interval_is_as_probable_from_every_point_that_it_may_be_left_for():
    assert slice_defect() < EXACT
    assert slice_defect(budget=1) < EXACT
    assert slice_defect(expansion="doubling", budget=3) < EXACT


@pytest.mark.usual("one window*", "no test*")
@pytest.mark.parametrize(
    ("expansion", "old", "new"),
    [
        (
            "stepping_out",
            "self.max_expansions - 1 - j, self.window",
            "self.max_expansions - j, self.window",
        ),
        ("doubling", "good = ~(apart & ~inside(low) & ~inside(high))", "good = jnp.bool_(True)"),
        ("doubling", "left = draw(jnp.uint32(3) + i) < 0.5", "left = jnp.bool_(True)"),
    ],
    ids=["one window longer on the right", "no test of doubling", "doubles to the left"],
)
def test_enumeration_catches_a_faulty_interval(expansion, old, new):
    broken = mutant(slice_sampler, old, new)
    assert slice_defect(broken, expansion=expansion, budget=3) > SEEN
