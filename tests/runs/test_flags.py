"""What stands against a result: in `pt.flags`, in the report, and said once without one."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from numpygeons import Flag, NumpygeonsWarning, pigeons
from numpygeons.runs.flags import chains_for, flags_of, is_sound
from support.small_models import coin, eight_schools, half_excluded, half_not_a_number, normal


def run(model=normal, *model_args, n_chains=4, n_rounds=7):
    return pigeons(
        model, model_args=model_args, n_chains=n_chains, n_rounds=n_rounds, show_report=False
    )


@pytest.fixture(scope="module")
def two_chains():
    return run(coin, 100_000, 50_000, n_chains=2)


def printed(pt):
    lines = pt.report().splitlines()
    return [line.removeprefix("flag: ") for line in lines if line.startswith("flag: ")]


def test_the_report_prints_the_flags_and_no_others(two_chains):
    excluded, sound = run(half_excluded), run(eight_schools, n_rounds=9)
    for pt in (two_chains, excluded, sound):
        assert printed(pt) == [str(flag) for flag in pt.flags]
    assert {"few chains", "no restarts"} <= {flag.name for flag in two_chains.flags}
    assert not two_chains.ok
    assert [flag.name for flag in excluded.flags] == ["zero likelihood"]
    assert excluded.ok  # likelihood zero is legal, and log Z counts it
    assert sound.flags == ()
    assert sound.ok


def test_a_likelihood_that_is_not_a_number_is_counted_and_warned_of():
    pt = run(half_not_a_number, n_rounds=8)
    (flag,) = pt.flags
    last = pt.rounds[-1]
    assert (flag.name, flag.severity) == ("likelihood not a number", "warning")
    assert last.n_not_a_number == last.n_zero_likelihood > 64
    assert f"in {last.n_not_a_number} of these it was not a number" in flag.reason
    assert not pt.ok
    assert run(half_excluded).rounds[-1].n_not_a_number == 0


def test_rounding_is_held_against_the_error_of_the_evidence(two_chains):
    record = replace(record_with(two_chains, [0.5]), log_z_variance=0.04, log_z_dof=50.0)

    def of(worst, shift):
        return flags_of([replace(record, coarseness=worst, coarse_shift=shift)])

    assert of(0.049, 0.04) == ()
    (warning,) = of(0.051, 0.05)
    assert (warning.name, warning.severity) == ("coarse arithmetic", "warning")
    assert "log Z off by +0.05" in warning.reason
    assert "numpyro.enable_x64()" in warning.advice
    assert [flag.severity for flag in of(0.3, -0.3)] == ["wrong"]  # more than the error, 0.2
    assert [flag.severity for flag in of(0.6, 0.0)] == ["wrong"]
    assert flags_of([record]) == ()  # not measured, or double precision


def test_a_flag_has_a_reason_with_numbers_and_an_advice(two_chains):
    for flag in two_chains.flags:
        assert flag.severity in ("note", "warning", "wrong")
        assert any(letter.isdigit() for letter in flag.reason)
        assert flag.advice
        assert str(flag) == f"{flag.name} ({flag.severity}): {flag.reason}; {flag.advice}"


def record_with(pt, acceptance):
    """The last record, as if its pairs had swapped with these probabilities."""
    acceptance = np.asarray(acceptance)
    return replace(
        pt.rounds[-1],
        schedule=np.linspace(0, 1, len(acceptance) + 1),
        swap_acceptance=acceptance,
        global_barrier=float(np.sum(1 - acceptance)),
        flags=(),
        n_restarts=1,
        coarseness=None,
        coarse_shift=None,
    )


@pytest.mark.parametrize(
    ("acceptance", "n_chains", "at_least"),
    [
        ([2.1e-13], 13, True),  # normal V, Λ = 5.86: the sum of rejections says 1.00, so 3 chains
        ([0.0023] * 9, 45, True),
        ([0.06, 0.5], 6, False),
    ],
)
def test_the_number_of_chains_follows_from_the_barrier_of_many(
    two_chains, acceptance, n_chains, at_least
):
    (flag,) = flags_of([record_with(two_chains, acceptance)])
    assert flag.name == "few chains"
    assert f"{'at least' if at_least else 'about'} {n_chains} chains" in flag.advice
    assert ("Λ is at least" in flag.reason) == at_least


def test_pairs_that_swap_are_enough_chains(two_chains):
    assert flags_of([record_with(two_chains, [0.11, 0.5])]) == ()
    assert chains_for(1.0) == 3


def test_notes_alone_do_not_stand_against_a_result():
    note, warning, wrong = (Flag("a", s, "b", "c") for s in ("note", "warning", "wrong"))
    assert is_sound(())
    assert is_sound([note])
    assert not is_sound([note, warning])
    assert not is_sound([wrong])


def test_a_run_without_a_report_warns_once_of_what_is_wrong(monkeypatch):
    wrong = Flag("made up", "wrong", "1 of 1 is off", "look again")
    monkeypatch.setattr("numpygeons.runs.run.flags_of", lambda records: (wrong,))
    with pytest.warns(NumpygeonsWarning, match="made up .wrong.: 1 of 1 is off; look") as caught:
        pigeons(normal, n_chains=3, n_rounds=2, show_report=False)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pigeons(normal, n_chains=3, n_rounds=2)  # the report says it
