"""What she sees: a row per round as it finishes, the evidence, and whether to trust it."""

import io

import numpy as np
import pytest

from numpygeons import pigeons
from numpygeons.runs.report import COLUMNS, Reporter, evidence_text, header
from support.small_models import eight_schools, normal


def test_a_row_per_round_is_printed_as_it_finishes(capsys):
    pt = pigeons(eight_schools, n_chains=4, n_rounds=8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "compiling ..."
    assert lines[1].startswith("compiled in ")
    assert lines[2] == header()
    for name in ("scans", "restarts", "Λ", "time(s)", "log Z ± error", "min α", "mean α"):
        assert name in lines[2]
    for name in ("max|ρ|", "mean|ρ|"):
        assert name in lines[2]
    rows = [line.split() for line in lines[3:11]]
    assert [int(row[1]) for row in rows] == [2, 4, 8, 16, 32, 64, 128, 256]
    last = pt.rounds[-1]
    assert int(rows[-1][2]) == last.n_restarts
    assert float(rows[-1][3]) == pytest.approx(last.extrapolated_barrier, abs=6e-4)
    assert "±" not in lines[7]  # 32 scans have no error to quote
    assert "±" in lines[8]
    assert float(rows[-1][5]) == pytest.approx(last.log_z, abs=0.06)
    assert rows[-1][6] == "±"
    assert float(rows[-1][8]) == pytest.approx(last.swap_acceptance.min(), abs=6e-4)
    assert float(rows[-1][10]) == pytest.approx(np.nanmax(abs(last.energy_ac1)), abs=6e-4)
    assert lines[11].startswith("log Z = ")
    assert "95 % interval" in lines[11]
    assert pt.report().splitlines() == lines[2:]


def test_nothing_is_printed_when_not_asked(capsys):
    pigeons(normal, n_chains=3, n_rounds=3, show_report=False)
    assert capsys.readouterr().out == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_the_time_left():
    stream = Terminal()
    with Reporter(show=True, n_scans=30, stream=stream) as reporter:
        reporter.scans(4, 3, 16)
        reporter.say("a row")
        assert reporter._progress is not None
        (task,) = reporter._progress.tasks
        assert (task.completed, task.total) == (3, 30)
        assert "round 4: 3/16 scans" in task.description
    assert "a row" in stream.getvalue()


def test_plain_streams_get_no_bar():
    with Reporter(show=True, n_scans=30, stream=io.StringIO()) as reporter:
        assert reporter._progress is None


def test_rows_lose_their_last_columns_where_the_terminal_is_narrow():
    names = [name for name, _ in COLUMNS]
    assert len(header()) == 84
    for width, n_columns in [(84, 10), (83, 9), (80, 9), (40, 5)]:
        assert len(header(width)) <= width
        assert header(width).split("  ")[-1].strip().endswith(names[n_columns - 1])


@pytest.mark.parametrize(
    ("log_z", "error", "text"),
    [
        (-31.3113, 0.0142, "-31.311 ± 0.014"),
        (-31.3113, 0.142, "-31.31 ± 0.14"),
        (-31.3113, 3.2, "-31.3 ± 3.2"),
        (-31.3113, np.nan, "-31.311 ± ?"),
        (-31.3113, np.inf, "-31.311 ± inf"),
        (np.nan, np.nan, ""),
    ],
)
def test_estimates_show_as_many_digits_as_the_error_bears(log_z, error, text):
    assert evidence_text(log_z, error) == text
