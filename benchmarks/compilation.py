"""Times the compilation of models, with no cache and from a full one:

    python benchmarks/compilation.py [--problems mrna,odeint] [--runs 3]

The models are those of this file, whose loops and mixtures once took half a minute to compile, and
the reference problems, which are read from the folder `NUMPYGEONS_REFERENCE`, or
`../shared/reference`, where it is there. Each figure is the median over processes of their own, one
after another; compilation includes tracing. Double precision, default explorer.
"""

import argparse
import statistics
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.experimental.ode import odeint
from numpyro.contrib.control_flow import scan

import numpygeons
from common import own_process
from common.machine import machine
from common.problem import reference_folder
from common.tables import line, names, print_head
from numpygeons import NumPyroPath
from numpygeons.target.path import as_path

COLUMNS = ("problem", "dim.", "compile s", "from the cache s")
N_SEASONS = 4
N_CHAINS = 10
N_ROUNDS = 8  # mixtures, which may need a program of their own, come from the sixth on


def smoothing(y):
    """Exponential smoothing with a trend and seasons, one step of `scan` per datum."""
    level_weight = numpyro.sample("level_weight", dist.Beta(2, 2))
    trend_weight = numpyro.sample("trend_weight", dist.Beta(2, 2))
    season_weight = numpyro.sample("season_weight", dist.Beta(2, 2))
    noise = numpyro.sample("noise", dist.HalfCauchy(1))
    season_scale = numpyro.sample("season_scale", dist.HalfCauchy(1))
    level = numpyro.sample("level", dist.Cauchy(10, 2))
    trend = numpyro.sample("trend", dist.Cauchy(0, 1))
    with numpyro.plate("season", N_SEASONS):
        seasons = numpyro.sample("seasons", dist.Cauchy(0, season_scale))

    def step(carry, now):
        level, trend, seasons = carry
        expected = level + trend + seasons[0]
        numpyro.sample("y", dist.Normal(expected, noise), obs=now)
        new_level = level_weight * (now - seasons[0]) + (1 - level_weight) * (level + trend)
        new_trend = trend_weight * (new_level - level) + (1 - trend_weight) * trend
        season = season_weight * (now - new_level) + (1 - season_weight) * seasons[0]
        return (new_level, new_trend, jnp.append(seasons[1:], season)), expected

    scan(step, (level, trend, seasons), y)


def two_supports(y):
    """A mixture of positive and of real numbers."""
    weight = numpyro.sample("weight", dist.Beta(1, 1))
    rate = numpyro.sample("rate", dist.Gamma(1, 1))
    mean = numpyro.sample("mean", dist.Normal(0, 3))
    scale = numpyro.sample("scale", dist.HalfNormal(2))
    mixture = dist.MixtureGeneral(
        dist.Categorical(probs=jnp.stack([weight, 1 - weight])),
        [dist.Exponential(rate), dist.Normal(mean, scale)],
        support=dist.constraints.real,
    )
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", mixture, obs=y)


def decay(times, y):
    """The rate of a decay that an adaptive solver of differential equations computes."""
    rate = numpyro.sample("rate", dist.LogNormal(0, 1))
    amounts = odeint(lambda amount, time, rate: -rate * amount, jnp.array(1.0), times, rate)
    numpyro.sample("y", dist.Normal(amounts, 0.05), obs=y)


def own_targets() -> dict[str, NumPyroPath]:
    rng = np.random.default_rng(1)
    steps = 10 + np.cumsum(rng.normal(size=22))
    both = np.where(rng.random(500) < 0.3, rng.exponential(size=500), rng.normal(2, 1, size=500))
    times = np.linspace(0, 5, 10)
    amounts = np.exp(-0.7 * times) + 0.05 * rng.normal(size=10)
    return {
        "22 steps of scan": NumPyroPath(smoothing, (steps,)),
        "two supports": NumPyroPath(two_supports, (both,)),
        "odeint": NumPyroPath(decay, (times, amounts)),
    }


def targets() -> dict[str, Any]:
    """Functions that give the targets, by name."""
    own = {name: lambda target=target: target for name, target in own_targets().items()}
    if not (reference_folder() / "problems").is_dir():
        return own
    sys.path.insert(0, str(reference_folder() / "problems"))
    import models  # type: ignore[import-not-found]

    return own | {
        name: lambda problem=problem: NumPyroPath(problem.model, (), problem.kwargs())
        for name, problem in models.PROBLEMS.items()
    }


def point(name: str) -> None:
    """Gives what compiling one problem takes, before its rounds and between them."""
    jax.config.update("jax_enable_x64", True)
    target = targets()[name]()
    pt = numpygeons.pigeons(target, n_chains=N_CHAINS, n_rounds=N_ROUNDS, show_report=False)
    own_process.give(
        {
            "dimension": as_path(target).dimension,
            "seconds": sum(record.compile_seconds for record in pt.rounds),
        }
    )


def row(name: str, compiled: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[str]:
    """The cells of a problem, from processes without a cache and with a full one."""
    medians = (statistics.median(one["seconds"] for one in some) for some in (compiled, found))
    return [name, f"{compiled[0]['dimension']:,}", *(f"{median:.2f}" for median in medians)]


def cells(name: str, runs: int) -> list[str]:
    """Measures a problem, or says what went wrong."""
    compiled, found, trouble = own_process.cold_and_warm([__file__, "--point", name], runs)
    return [name, trouble] if trouble else row(name, compiled, found)


def main() -> None:
    if sys.argv[1:2] == ["--point"]:
        point(sys.argv[2])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", default="", help="names, with commas between; default all")
    parser.add_argument("--runs", type=int, default=3, help="per figure, which is their median")
    options = parser.parse_args()
    print(f"{machine()}; medians of {options.runs} runs\n")
    print_head(COLUMNS)
    for name in names(options.problems, tuple(targets())):
        print(line(cells(name, options.runs), len(COLUMNS)), flush=True)


if __name__ == "__main__":
    main()
