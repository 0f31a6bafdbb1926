"""Ctrl-C stops soon and leaves the finished rounds usable."""

import signal
import subprocess
import sys
import textwrap
import time
import weakref

import numpy as np
import pytest

from numpygeons import NumpygeonsWarning, load, pigeons
from support import environment
from support.run_digest import digest
from support.small_models import normal


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def lost_ctrl_c():
    """Ctrl-C in the middle of what Python lets nothing out of, as JAX has much of it."""

    class Thing:
        pass

    thing = Thing()
    watched = weakref.ref(thing, lambda _: ctrl_c())
    del thing
    assert watched() is None


SCRIPT = textwrap.dedent(
    """
    import sys, time, warnings
    import numpygeons
    from support.small_models import normal
    warnings.simplefilter("ignore")
    pt = numpygeons.pigeons(normal, n_chains=8, n_rounds=28, driver={driver!r})
    print("left with", len(pt.rounds), pt.interrupted, pt.samples["x"].shape, flush=True)
    """
)


@pytest.mark.usual("fused-14")
@pytest.mark.parametrize(("driver", "number"), [("fused", 14), ("device", 12)])
def test_ctrl_c_leaves_the_finished_rounds_within_two_seconds(driver, number):
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SCRIPT.format(driver=driver)],
        env=environment(),
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
    monkeypatch.setattr("numpygeons.runs.report.Reporter.scans", staticmethod(Interrupter(5)))


@pytest.mark.usual("stepwise")
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


@pytest.fixture
def pressed_in_round_eleven(monkeypatch):
    """Presses, once, by the function that is given."""
    done = []

    def press_by(press):
        def scans(number, *_):
            if number == 11 and not done:
                done.append(number)
                press()

        monkeypatch.setattr("numpygeons.runs.report.Reporter.scans", staticmethod(scans))

    return press_by


@pytest.mark.usual("ctrl_c-2")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("press", [ctrl_c, lost_ctrl_c])
def test_ctrl_c_writes_the_round_under_way_which_goes_on(
    pressed_in_round_eleven, tmp_path, press, n_threads
):
    settings = {"n_chains": 3, "show_report": False, "n_threads": n_threads}
    pressed_in_round_eleven(press)
    with pytest.warns(NumpygeonsWarning, match="interrupted in round 11 of 11"):
        pt = pigeons(normal, n_rounds=11, checkpoint=tmp_path / "run", **settings)
    assert pt.interrupted
    loaded = load(tmp_path / "run")
    assert len(loaded.rounds) == len(pt.rounds) == 10
    assert 0 < loaded._rounds.state.midway.scans.n_done < 2048
    whole = digest(pigeons(normal, n_rounds=11, **settings))
    assert digest(pigeons(loaded, **settings)) == whole
    assert digest(pigeons(pt, n_rounds=11, **settings)) == whole


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("press", [ctrl_c, lost_ctrl_c])
def test_ctrl_c_while_a_model_is_traced_is_not_lost(press):
    def model():
        normal()
        press()

    with pytest.raises(KeyboardInterrupt):
        pigeons(model, n_chains=2, n_rounds=2, show_report=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_the_users_own_stay(pressed_in_round_eleven, tmp_path):
    heard = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, _: heard.append(n)) for number in numbers]
    pressed_in_round_eleven(lambda: [signal.raise_signal(number) for number in numbers])
    try:
        settings = {"n_chains": 2, "n_rounds": 11, "show_report": False}
        pt = pigeons(normal, checkpoint=tmp_path / "run", **settings)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert heard == list(numbers)
    assert not pt.interrupted


TERMINATED = """
import signal, sys
import numpygeons
from numpygeons.runs.report import Reporter
from support.small_models import normal
left = [signal.SIGTERM]
Reporter.scans = lambda _, n, *__: n == 11 and left and signal.raise_signal(left.pop())
settings = dict(n_chains=3, show_report=False)
numpygeons.pigeons(normal, n_rounds=10, **settings)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
numpygeons.pigeons(normal, n_rounds=12, checkpoint=sys.argv[1], **settings)
print("went on")
"""


def test_sigterm_writes_the_round_under_way_and_ends_the_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TERMINATED, str(tmp_path / "run")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert done.stdout == ""
    pt = load(tmp_path / "run")
    assert len(pt.rounds) == 10
    assert pt._rounds.state.midway.scans.n_done > 0


def test_ctrl_c_before_the_first_round_is_passed_on(monkeypatch):
    monkeypatch.setattr(
        "numpygeons.rounds.rounds.Rounds.advance",
        lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    with pytest.raises(KeyboardInterrupt):
        pigeons(normal, n_chains=2, show_report=False)
