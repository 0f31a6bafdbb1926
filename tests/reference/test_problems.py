"""The default explorer finds the exact evidence, moments and mode weights of reference problems.

`pytest -m reference` runs every problem and prints a table; plain `pytest` those that take less
than 6 s. A problem runs with several seeds. A comparison fails where its probability, times the
number of comparisons in the suite, is below 1e-6. The last column of the table holds the narrower
bars to which it is held besides, and which are not probabilities: it says which are missed.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpyro
import pytest
from scipy import stats

from numpygeons import NumPyroPath, pigeons

pytestmark = pytest.mark.reference

THRESHOLD = 1e-6
N_SEEDS = 4
N_BATCHES = 16  # of the draws of a seed, whose means are taken for independent
LARGEST_LOG_Z_ERROR = 0.1  # bars of the last column
MOST_ERRORS = 4.5
MOST_MODE_ERRORS = 4.0
SD_RATIO = 0.1


@dataclass(frozen=True, kw_only=True)
class Effort:
    """About twice the barrier in chains, and rounds for a small error of log Z."""

    n_chains: int
    n_rounds: int = 12
    slow: bool = False


EFFORTS = {
    "eight_schools": Effort(n_chains=4),
    "eight_schools_centered": Effort(n_chains=4),
    "eight_schools_reparam": Effort(n_chains=4),
    "ark": Effort(n_chains=16, slow=True),
    "sblrc": Effort(n_chains=24, slow=True),
    "hmm_example": Effort(n_chains=8, n_rounds=11, slow=True),
    "gauss_mix": Effort(n_chains=12, slow=True),
    "unid_100": Effort(n_chains=5),
    "unid_100000": Effort(n_chains=9),
    "mrna": Effort(n_chains=20, n_rounds=13, slow=True),
    "eggbox": Effort(n_chains=8),
    "brownian_unknown_scales": Effort(n_chains=12, n_rounds=14, slow=True),
    "radiata_density": Effort(n_chains=8),
    "radiata_adjusted": Effort(n_chains=8),
    "baseball_partial": Effort(n_chains=10, n_rounds=13, slow=True),
    "baseball_full": Effort(n_chains=5),
    "baseball_nopool": Effort(n_chains=12),
    "sv_sp500_small": Effort(n_chains=14, n_rounds=12, slow=True),
}
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if effort.slow else name
    for name, effort in EFFORTS.items()
]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An estimate beside its truth."""

    quantity: str
    truth: float
    estimate: float
    errors: float  # their distance, in standard errors
    p: float
    kind: str  # "log Z", "mean", "sd" or "mode"


@pytest.fixture(scope="module")
def truths(reference):
    return json.loads((reference / "problems" / "truths.json").read_text())


@pytest.fixture
def problems(reference_module, x64):
    return reference_module("models").PROBLEMS


def run(model, kwargs, effort, n_seeds=N_SEEDS):
    """One run per seed, all with one compilation."""
    path = NumPyroPath(model, (), kwargs)
    return [
        pigeons(
            path,
            n_chains=effort.n_chains,
            n_rounds=effort.n_rounds,
            seed=seed,
            show_report=False,
        )
        for seed in range(1, n_seeds + 1)
    ]


def compared_log_z(runs, truth):
    """Each run by its own error and degrees of freedom, and all of them together."""
    gaps = [pt.log_z - truth["value"] for pt in runs]
    gaps = np.array([math.copysign(max(0.0, abs(g) - truth["abs_err"]), g) for g in gaps])
    t = gaps / [pt.log_z_error for pt in runs]
    tails = np.array([stats.t.sf(abs(a), pt.log_z_dof) for a, pt in zip(t, runs, strict=True)])
    scores = np.sign(t) * stats.norm.isf(np.maximum(tails, 1e-300))
    pooled = scores.sum() / np.sqrt(len(runs))
    p = {f"log Z, seed {i}": 2 * tail for i, tail in enumerate(tails, 1)}
    p["log Z"] = 2 * stats.norm.sf(abs(pooled))
    return [
        Comparison(
            quantity=name,
            truth=truth["value"],
            estimate=float(np.mean([pt.log_z for pt in runs])),
            errors=float(pooled),
            p=float(probability),
            kind="log Z",
        )
        for name, probability in p.items()
    ]


def compared_mean(quantity, truth, values, kind, *, own_error=0.0, show=lambda mean: mean):
    """`values`, shape (n_seeds, n_draws), against their mean `truth`, known up to `own_error`."""
    batches = values.reshape(len(values) * N_BATCHES, -1).mean(axis=1)
    error = math.hypot(batches.std(ddof=1) / math.sqrt(len(batches)), own_error)
    gap = values.mean() - truth
    if math.isclose(values.mean(), truth, rel_tol=1e-12):  # the square of an indicator less 1/2
        errors = 0.0
    else:
        errors = gap / error if error > 0 else math.copysign(math.inf, gap)
    return Comparison(
        quantity=quantity,
        truth=show(truth),
        estimate=show(values.mean()),
        errors=errors,
        p=float(2 * stats.t.sf(abs(errors), len(batches) - 1)),
        kind=kind,
    )


def mode_indicators(name, draws):
    """Which draws lie in which mode, by the names of the modes."""
    if name == "eggbox":
        i, j = (np.rint(draws[f"x[{axis}]"] / (2 * np.pi)).astype(int) for axis in (0, 1))
        return {f"{a},{b}": (i == a) & (j == b) for a in range(6) for b in range(6)}
    if name == "gauss_mix":
        swapped = draws["P_swapped"] == 1
        return {"swapped": swapped, "unswapped": ~swapped}
    below = draws["P_beta_lt_delta"] == 1
    return {"beta<delta": below, "beta>delta": ~below}


def comparisons(name, truth, derive: Callable, runs):
    """All that is known of a problem, beside what the runs say."""
    per_seed = [derive(pt.samples) for pt in runs]
    draws = {key: np.stack([np.asarray(d[key], float) for d in per_seed]) for key in per_seed[0]}
    found = compared_log_z(runs, truth["logZ"]) if truth["logZ"] else []
    for quantity, moment in truth["moments"].items():
        x, mean, sd = draws[quantity], moment["mean"], moment["sd"]
        own = moment.get("mcse_mean") or 0.0
        found.append(compared_mean(f"mean of {quantity}", mean, x, "mean", own_error=own))
        if sd is not None:
            squares = (x - mean) ** 2
            own = math.sqrt(2) * own * sd  # as of a normal: the ESS of x^2 is not given
            found.append(
                compared_mean(
                    f"sd of {quantity}", sd**2, squares, "sd", own_error=own, show=math.sqrt
                )
            )
    if "modes" in truth:
        inside = mode_indicators(name, draws)
        for mode, weight in truth["modes"].items():
            found.append(
                compared_mean(f"weight of {mode}", weight, inside[mode].astype(float), "mode")
            )
    for level, quantile in truth.get("kappa_quantiles", {}).items():
        below = (draws["kappa"] <= quantile).astype(float)
        found.append(compared_mean(f"kappa quantile {level}", float(level), below, "mean"))
    return found


def n_comparisons(truths):
    """At least as many as the suite makes, over all problems."""
    forms = 3  # of the eight schools share a truth
    return forms * sum(
        (N_SEEDS + 1) + 2 * len(t["moments"]) + len(t.get("modes", {})) + 5 for t in truths.values()
    )


def missed_bars(found, runs):
    """The bars that are missed, in words."""
    missed = []
    errors = [pt.log_z_error for pt in runs]
    if max(errors) > LARGEST_LOG_Z_ERROR and any(c.kind == "log Z" for c in found):
        missed.append(f"error of log Z {max(errors):.2f}")
    for c in found:
        most = MOST_MODE_ERRORS if c.kind == "mode" else MOST_ERRORS
        if c.kind != "sd" and abs(c.errors) > most:
            missed.append(f"{c.quantity} {c.errors:+.1f}")
        if c.kind == "sd" and abs(c.estimate / c.truth - 1) > SD_RATIO:
            missed.append(f"{c.quantity} times {c.estimate / c.truth:.2f}")
    return missed


def shown(name, found, seconds, missed):
    """Rows of the table: log Z, the worst moment, the worst mode."""
    chosen = [c for c in found if c.quantity == "log Z"]
    for kinds in (("mean", "sd"), ("mode",)):
        of_kind = [c for c in found if c.kind in kinds]
        chosen += sorted(of_kind, key=lambda c: -abs(c.errors))[:1]
    for i, c in enumerate(chosen):
        notes = (f"{seconds:.1f}", ", ".join(missed) or "met") if i == 0 else ("", "")
        numbers = (f"{c.truth:.5g}", f"{c.estimate:.5g}", f"{c.errors:+.1f}")
        yield (name if i == 0 else "", c.quantity, *numbers, *notes)


@pytest.mark.usual("eggbox", "unid_100000", "eight_schools_reparam", "radiata_adjusted")
@pytest.mark.parametrize("name", NAMES)
def test_evidence_moments_and_mode_weights_are_the_exact_ones(name, problems, truths, tabulate):
    problem = problems[name]
    truth = truths[problem.truth or name]
    start = time.perf_counter()
    runs = run(problem.model, problem.kwargs(), EFFORTS[name])
    found = comparisons(name, truth, problem.derive, runs)
    seconds = time.perf_counter() - start
    tabulate(shown(name, found, seconds, missed_bars(found, runs)))
    assert len(found) >= 2 * len(truth["moments"])
    limit = THRESHOLD / n_comparisons(truths)
    assert [c for c in found if not c.p > limit] == []


def test_every_problem_of_the_folder_is_run(problems, truths):
    assert set(EFFORTS) == set(problems)
    assert {problem.truth or name for name, problem in problems.items()} == set(truths)


def test_a_run_that_stays_in_one_mode_is_seen(problems, truths):
    """A control: one chain, so plain MCMC on the target."""
    problem, truth = problems["eggbox"], truths["eggbox"]
    runs = run(problem.model, {}, Effort(n_chains=1))
    found = comparisons("eggbox", truth | {"logZ": None}, problem.derive, runs)
    limit = THRESHOLD / n_comparisons(truths)
    assert "mode" in {c.kind for c in found if c.p < limit}


def test_a_likelihood_whose_constant_is_off_by_a_tenth_is_seen(problems, truths):
    """A control: the draws are right, the evidence is not."""
    problem, truth = problems["eight_schools"], truths["eight_schools"]

    def model(**kwargs):
        problem.model(**kwargs)
        numpyro.factor("constant", 0.1)

    runs = run(model, problem.kwargs(), EFFORTS["eight_schools"])
    found = comparisons("eight_schools", truth, problem.derive, runs)
    limit = THRESHOLD / n_comparisons(truths)
    assert {c.kind for c in found if c.p < limit} == {"log Z"}


@pytest.mark.slow
def test_draws_from_a_fifth_more_data_are_seen(problems, truths):
    """A control: the mean is right, the standard deviation a tenth too small."""
    problem, truth = problems["baseball_full"], truths["baseball_full"]
    more = {name: np.rint(1.2 * values) for name, values in problem.kwargs().items()}
    runs = run(problem.model, more, EFFORTS["baseball_full"])
    found = comparisons("baseball_full", truth | {"logZ": None}, problem.derive, runs)
    assert "sd" in {c.kind for c in found if c.p < THRESHOLD / n_comparisons(truths)}
