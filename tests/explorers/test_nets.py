"""Exact start, for each explorer with each preconditioner at beta 0, 0.1 and 1.

`pytest -m slow` has ten times the copies.
"""

import numpy as np
import pytest
from scipy import stats

from numpygeons import pigeons
from support.exact_start import N_COPIES, THRESHOLD, Explored, explored_at, p_value
from support.nets import (
    CASES,
    MUTANTS,
    OTHERS,
    SEARCHED,
    TARGET,
    TRAJECTORIES,
    proposals_of,
    tuning_of,
)
from support.small_models import normal

BETAS = (0.0, 0.1, 1.0)
FEWER = 4_000  # copies per beta in the default run
MUTANT_COPIES = 30_000
DTYPES = (np.float32, np.float64)


def assert_kept(name, dtype, n):
    explorer = CASES[name]
    found = explored_at(
        explorer,
        TARGET,
        BETAS,
        tuning_of(explorer, TARGET),
        tables=proposals_of(explorer, TARGET),
        dtype=dtype,
        n=n,
    )
    for beta, copies in zip(BETAS, found, strict=True):
        assert np.mean(np.any(copies.after != copies.before, axis=1)) > 0.5
        acceptance = copies.statistics["acceptance"].mean()
        assert 0.15 < acceptance <= 1, f"acceptance {acceptance} at beta {beta}"
        p = p_value(TARGET, beta, copies)
        print(f"{name}, {np.dtype(dtype)}, beta {beta}: acceptance {acceptance:.2f}, p {p:.2g}")
        assert len(BETAS) * p > THRESHOLD, f"beta {beta}"


@pytest.mark.usual(
    "Mix-float64",
    "Compose-float32",
    "AutoMALA, mixed diagonal-float64",
    "AutoHMC, mixed diagonal-float32",
    "HMC with a mixture-float64",
    "slice, narrow-float32",
    "MALA, diagonal-float32",
    "AutoRWMH, dense-float64",
)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", CASES)
def test_exploring_from_an_exact_start_keeps_the_density(name, dtype):
    assert_kept(name, dtype, FEWER)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", CASES)
def test_exploring_keeps_the_density_of_many_copies(name, dtype):
    assert_kept(name, dtype, N_COPIES)


ALL_MUTANTS = [(explorer, name) for explorer, mutants in MUTANTS.items() for name in mutants]


@pytest.mark.usual("MALA-wrong difference", "HMC-momentum", "HMC-accepts always")
@pytest.mark.parametrize(("explorer", "name"), ALL_MUTANTS)
def test_a_mutant_does_not_keep_the_density(explorer, name):
    broken = MUTANTS[explorer][name]()
    tuning = tuning_of(broken, TARGET)
    tables = proposals_of(broken, TARGET)
    found = explored_at(broken, TARGET, BETAS, tuning, tables=tables, n=MUTANT_COPIES)
    p = [p_value(TARGET, beta, copies) for beta, copies in zip(BETAS, found, strict=True)]
    print(f"{explorer}, {name}: p at beta {BETAS}: {p}")
    assert len(p) * min(p) < THRESHOLD


def test_every_explorer_has_a_mutant():
    ways = {"slice, narrow", "slice, doubling", "slice, random doubling"}  # of the slice sampler
    assert set(SEARCHED) | set(TRAJECTORIES) | set(OTHERS) == set(MUTANTS) | ways


@pytest.mark.filterwarnings("ignore:invalid value")
def test_numbers_that_are_none_do_not_pass():
    rng = np.random.default_rng(1)
    copies = Explored(before=TARGET.draw(rng, 1.0, 100), after=np.full((100, 6), np.inf), state=0)
    assert p_value(TARGET, 1.0, copies) < THRESHOLD


@pytest.mark.usual("float64-fused")
@pytest.mark.parametrize("driver", ["fused", "stepwise"])
def test_the_driver_draws_exactly_and_independently_at_beta_0(driver, precision):
    """Of `normal`, 1 / 2 - x follows N(1 / 2, 1) there, and V is a function of its square."""
    pt = pigeons(normal, n_chains=3, n_rounds=11, driver=driver, show_report=False)
    v = np.asarray(pt._rounds.state.data.v)
    squares = -2 * v - np.log(2 * np.pi)
    law = stats.ncx2(1, 0.25).cdf
    assert stats.kstest(squares[:, 0], law).pvalue > THRESHOLD
    assert stats.spearmanr(squares[1:, 0], squares[:-1, 0]).pvalue > THRESHOLD
    assert stats.kstest(squares[:, 1], law).pvalue < THRESHOLD  # a control
