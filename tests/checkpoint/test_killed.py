"""A run that is killed, whenever, goes on with the bits of one that never was."""

import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from numpygeons import load, pigeons
from support import environment
from support.run_digest import digest
from support.small_models import eight_schools

RESUME = textwrap.dedent(
    """
    import os, sys
    import numpygeons
    from support.small_models import eight_schools
    place = {place!r}
    if os.path.exists(place + "/run.checkpoint"):
        numpygeons.pigeons(numpygeons.load(place), n_rounds=15)
    else:
        numpygeons.pigeons(eight_schools, n_chains=6, n_rounds=15, checkpoint=place)
    """
)


@pytest.fixture(scope="module")
def never_killed():
    return digest(pigeons(eight_schools, n_chains=6, n_rounds=15, show_report=False))


def check_killed(place, moments, never_killed):
    """Killed at so many seconds after it began to say something, each time it went on."""
    places = []
    for moment in moments:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", RESUME.format(place=str(place))],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(moment)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.stdout.close()
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
        places.append(len(load(place).rounds))
    assert places == sorted(places)
    pt = load(place)
    if len(pt.rounds) < 15:
        pigeons(pt, n_rounds=15, show_report=False)
    assert digest(pt) == never_killed
    return places


def test_a_run_that_is_killed_goes_on_with_the_same_bits(tmp_path, never_killed):
    rng = np.random.default_rng(22)
    places = check_killed(tmp_path / "run", rng.uniform(0, 0.25, 3), never_killed)
    assert len(places) >= 2


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_goes_on_with_the_same_bits(tmp_path, never_killed):
    rng = np.random.default_rng(22)
    n_kills = 0
    for attempt in range(20):
        place = tmp_path / str(attempt)
        n_kills += len(check_killed(place, rng.uniform(0, 0.25, 5), never_killed))
        shutil.rmtree(place)
        if n_kills >= 20:
            break
    assert n_kills >= 20
