"""Runs that meet with misfortune on some rank: `mpiexec -n 3 python faulty_runs.py <name> ...`."""

import os
import resource
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from numpygeons import SliceSampler, load, pigeons
from numpygeons.parallel.ranks import find_ranks
from numpygeons.rounds import rounds
from numpygeons.rounds.rounds import Rounds
from support.own_explorers import Walk
from support.run_digest import digest
from support.small_models import eight_schools

N_ROUNDS = 14


def say(*words):
    line = " ".join(map(str, words))
    print(f"rank {find_ranks().rank}: {line}\n", end="", flush=True)  # in one piece


def run(target=eight_schools, **settings):
    return pigeons(
        target, **{"n_chains": 6, "n_rounds": N_ROUNDS, "show_report": False, **settings}
    )


def report_of(name, work):
    """Says how the run ended."""
    try:
        work()
    except Exception as error:
        say(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
    else:
        say(f"{name}: no error")


def at_round(number, folder, do):
    """Does something on this rank as soon as a round is written."""

    def wait():
        while not (Path(folder) / f"round-{number:02d}.checkpoint").exists():
            time.sleep(0.001)
        do()

    threading.Thread(target=wait, daemon=True).start()


class Raising(SliceSampler):
    """Raises once, where an exploration calls back, on one thread of the last rank."""

    needs_gradients = False

    def explore(self, evaluate, state, beta, tuning, noise):
        state, statistics = super().explore(evaluate, state, beta, tuning, noise)
        shape = jax.ShapeDtypeStruct(state.v.shape, state.v.dtype)
        return state._replace(v=jax.pure_callback(once, shape, state.v)), statistics


N_CALLS = 0


def once(v):
    global N_CALLS
    N_CALLS += find_ranks().rank == find_ranks().size - 1
    if N_CALLS == 40:
        raise ZeroDivisionError("of the explorer's own")
    return np.asarray(v)


def beyond():
    """V is +inf where only chains near the target go, with an explorer that goes there."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, 0.2), obs=6.0)
    numpyro.factor("beyond", jnp.where(x > 5.2, jnp.inf, 0.0))


class Lost(Walk):
    """Returns what is not a number at the target in the third round."""

    def explore(self, evaluate, state, beta, tuning, noise):
        new, statistics = super().explore(evaluate, state, beta, tuning, noise)
        lost = (beta == 1) & (tuning["rounds"] == 2)
        return new._replace(x=jnp.where(lost, jnp.nan, new.x)), statistics


def full_disk(folder):
    """The first rank alone may write no more than 30 kB to a file, after round 4."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))

    if find_ranks().rank == 0:
        at_round(4, folder, limit)
    report_of("full disk", lambda: run(checkpoint=folder))


def interrupted(folder, which):
    """Ctrl-C after round 6, on one rank or on all; then the run goes on."""
    warnings.simplefilter("ignore")
    ranks = find_ranks()
    if which == "all" or int(which) == ranks.rank:
        at_round(6, folder, lambda: os.kill(os.getpid(), signal.SIGINT))
    go_on(run(checkpoint=folder, n_rounds=28))


def interrupted_between(which):
    """Ctrl-C while a rank adapts, where no scan is under way."""
    warnings.simplefilter("ignore")
    adapted = rounds.adapted

    def interrupt(before, *arguments):
        if before.round == 3 and find_ranks().rank == int(which):
            os.kill(os.getpid(), signal.SIGINT)
        return adapted(before, *arguments)

    rounds.adapted = interrupt
    go_on(run(n_rounds=8))


def go_on(pt):
    n = len(pt.rounds)
    say("left with", n, pt.interrupted)
    pt._rounds.settings = type(pt._rounds.settings)(n_chains=6, n_rounds=n)
    pigeons(pt, n_rounds=n + 1, show_report=False)
    say("went on", len(pt.rounds), pt.interrupted, digest(pt))


def changed_model():
    """A likelihood that depends on what no model should look at."""
    x = numpyro.sample("x", dist.Normal(0, 1))
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    numpyro.factor("clock", jax.pure_callback(by_rank, shape, x, vmap_method="expand_dims"))


CHANGES = False


def by_rank(x):
    return np.asarray(-0.5 * (x - 1) ** 2 + (1e-3 if CHANGES else 0), np.float32)


def checked(changes):
    """Rank 0 may change its mind when the round is run again."""
    loaded = Rounds.loaded

    def change(cls, *arguments):
        global CHANGES
        CHANGES = changes
        return loaded(*arguments)

    Rounds.loaded = classmethod(change)
    try:
        settings = {"explorer": SliceSampler(), "n_rounds": 4, "checked_round": 3, "n_threads": 2}
        run(changed_model, driver="stepwise", **settings)
    finally:
        Rounds.loaded = loaded


def misfortunes(driver, n_threads):
    """One after another: whoever survives one goes on to the next."""
    how = {"driver": driver, "n_threads": int(n_threads)}
    report_of("raising", lambda: run(explorer=Raising(), **how))
    report_of("infinite", lambda: run(beyond, explorer=Walk(), **how))
    report_of("not a number", lambda: run(explorer=Lost(), **how))
    y = tuple(np.random.default_rng().normal(size=8))
    report_of("other data", lambda: run(model_args=(y,), **how))
    report_of("constant", lambda: checked(changes=False))
    report_of("changing", lambda: checked(changes=True))


def asked_differently(folder):
    """The last rank asks for something else, in one way after another; then all for the same."""
    last = find_ranks().rank == find_ranks().size - 1

    def ask(**by_rank):
        own = {name: mine if last else theirs for name, (theirs, mine) in by_rank.items()}
        (name,) = by_rank
        report_of(name, lambda: run(**{"n_rounds": 3, **own}))

    os.chdir(folder)
    ask(checkpoint=(True, False))
    ask(checkpoint=(False, "mine"))
    ask(checkpoint=("mine", "yours"))
    ask(checked_round=(None, 2))
    ask(show_report=(False, True))
    ask(n_rounds=(2, 3))
    ask(explorer=(None, SliceSampler()))
    say("left", sorted(os.listdir(folder)))
    ask(n_rounds=(2, 2))


def out_of_step():
    """The last rank broadcasts where the others gather."""
    ranks = find_ranks()
    first = ranks.rank < ranks.size - 1
    report_of("out of step", lambda: (ranks.gather_all if first else ranks.broadcast)(1))


def two_threads():
    """Each rank begins a run in a second thread, while one goes on in its first."""
    fail = threading.Event()

    def second():
        report_of("second", run)
        fail.set()

    def wait(*_):
        threading.Thread(target=second).start()
        fail.wait()

    Rounds.advance, advance = (lambda *a, **k: wait() or advance(*a, **k)), Rounds.advance
    report_of("first", lambda: run(n_rounds=1))


def killed(folder, rank, how):
    ranks = find_ranks()
    say("is process", os.getpid())
    ends = {"killed": lambda: os.kill(os.getpid(), signal.SIGKILL), "exits": lambda: os._exit(0)}
    if ranks.rank == int(rank):
        at_round(6, folder, ends[how])
    run(checkpoint=folder, n_rounds=28)


def start_or_resume(folder, n_threads):
    """Says when it begins, and whether in the middle of a round."""
    settings = {"n_threads": int(n_threads), "show_report": False}
    if not (Path(folder) / "run.checkpoint").exists():
        say("begins anew")
        pigeons(eight_schools, n_chains=6, n_rounds=17, checkpoint=folder, **settings)
        return
    pt = load(folder)
    midway = pt._rounds.state.midway
    say("goes on after round", len(pt.rounds), "scan", 0 if midway is None else midway.scans.n_done)
    pigeons(pt, **settings)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
