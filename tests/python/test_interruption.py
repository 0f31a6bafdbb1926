"""Ctrl-C stops soon and leaves the finished rounds usable."""

import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from numpygeons import NumpygeonsWarning, pigeons
from small_models import normal

SCRIPT = textwrap.dedent(
    """
    import sys, time, warnings
    sys.path[:0] = {path!r}
    import numpygeons
    from small_models import normal
    warnings.simplefilter("ignore")
    pt = numpygeons.pigeons(normal, n_chains=8, n_rounds=28, driver={driver!r})
    print("left with", len(pt.rounds), pt.interrupted, pt.samples["x"].shape, flush=True)
    """
)


@pytest.mark.parametrize(("driver", "number"), [("fused", 14), ("device", 12)])
def test_ctrl_c_leaves_the_finished_rounds_within_two_seconds(driver, number):
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SCRIPT.format(path=sys.path, driver=driver)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[:1] == [str(number)]:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    sent = time.perf_counter()
    rest = process.stdout.read()
    assert process.wait(timeout=20) == 0
    waited = time.perf_counter() - sent
    words = rest.split("left with ")[1].split(maxsplit=2)
    n_rounds = int(words[0])
    assert number <= n_rounds < 28
    assert words[1] == "True"
    assert words[2].strip() == f"({2**n_rounds},)"
    assert waited < 10  # two seconds on a quiet machine; mapping the draws is in it


class Interrupter:
    """Presses Ctrl-C, once, when the bar is moved in a given round."""

    def __init__(self, number):
        self.number, self.pressed = number, False

    def __call__(self, number, done, n_scans):
        if number == self.number and done > 5 and not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt


@pytest.fixture
def interrupted_in_round_five(monkeypatch):
    monkeypatch.setattr("numpygeons.report.Reporter.scans", staticmethod(Interrupter(5)))


@pytest.mark.parametrize("driver", ["stepwise", "device"])
def test_an_interrupted_run_goes_on_with_the_same_bits(interrupted_in_round_five, driver):
    settings = {"n_chains": 4, "n_rounds": 7, "driver": driver, "show_report": False}
    with pytest.warns(NumpygeonsWarning, match="interrupted in round 5 of 7"):
        pt = pigeons(normal, **settings)
    assert pt.interrupted
    assert len(pt.rounds) == 4
    assert pt.samples["x"].shape == (16,)
    pigeons(pt, n_chains=4, driver=driver, show_report=False, n_rounds=7)
    assert not pt.interrupted
    whole = pigeons(normal, **settings)
    np.testing.assert_array_equal(pt.samples["x"], whole.samples["x"])
    np.testing.assert_array_equal(pt.schedule, whole.schedule)
    assert pt.log_z == whole.log_z


def test_ctrl_c_before_the_first_round_is_passed_on(monkeypatch):
    monkeypatch.setattr(
        "numpygeons.rounds.Rounds.advance", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        pigeons(normal, n_chains=2, show_report=False)
