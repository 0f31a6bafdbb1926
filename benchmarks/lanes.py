"""Times scans by the width of the batches that replicas are explored in, on this machine:

    python benchmarks/lanes.py [--models mrna,gp_100] [--runs 3] [--seconds 0.5]

Prints µs per scan and per gradient for each width, and how far the width that `lanes="auto"` takes
lies above the best, as Markdown. Each figure is of a process of its own, one after another; another
width gives other last bits, other tuning and so another number of gradients.
"""

import argparse
import statistics
import sys

import numpy as np

from common import overhead_problems, own_process
from common.machine import machine
from common.problem import Problem
from common.round_timing import LEAST_SECONDS, long_enough, runner
from common.tables import line, names, number, print_head

TITLES = overhead_problems.TITLES | {
    "gp_20": "Gaussian process of 20 points, f32",
    "gp_100": "Gaussian process of 100 points, f32",
    "network_200": "neural network, 200 x 10, 20 hidden units, f32",
    "network_2000": "neural network, 2,000 x 10, 50 hidden units, f32",
}
WIDTHS = ("one by one", "2", "half", "all")
COLUMNS = (
    "model",
    "chains",
    *(f"µs per scan, {width}" for width in WIDTHS),
    *(f"µs per gradient, {width}" for width in WIDTHS),
    "auto",
    "auto / best, per gradient",
)


def problem(name: str) -> Problem:
    kind, _, size = name.partition("_")
    if kind == "gp":
        return gaussian_process(int(size))
    if kind == "network":
        return neural_network(int(size), {200: 20, 2000: 50}[int(size)])
    return overhead_problems.problem(name)


def gaussian_process(n: int) -> Problem:
    """A factorisation in every evaluation, so that it cannot be one machine function."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def model(t, y):
        length = numpyro.sample("length", dist.LogNormal(0, 1))
        size = numpyro.sample("size", dist.LogNormal(0, 1))
        noise = numpyro.sample("noise", dist.LogNormal(-1, 1))
        squares = ((t[:, None] - t) / length) ** 2
        covariance = size**2 * jnp.exp(-0.5 * squares) + (noise**2 + 1e-4) * jnp.eye(n)
        numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(n), covariance), obs=y)

    rng = np.random.default_rng(4)
    t = np.sort(rng.uniform(0, 5, n)).astype(np.float32)
    y = (np.sin(2 * t) + 0.3 * rng.normal(size=n)).astype(np.float32)
    return Problem(model=model, model_args=(t, y), n_chains=10, n_rounds=10, log_z=np.nan)


def neural_network(n: int, n_hidden: int) -> Problem:
    """Products of two matrices in every evaluation."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def model(x, y):
        inner = dist.Normal(0, 1).expand([x.shape[1], n_hidden]).to_event(2)
        first = numpyro.sample("first", inner)
        second = numpyro.sample("second", dist.Normal(0, 1).expand([n_hidden]).to_event(1))
        mean = jnp.tanh(x @ first) @ second / n_hidden**0.5
        numpyro.sample("y", dist.Normal(mean, 0.3), obs=y)

    x = np.random.default_rng(4).normal(size=(n, 10)).astype(np.float32)
    return Problem(
        model=model,
        model_args=(jnp.asarray(x), np.sin(x[:, 0])),
        n_chains=10,
        n_rounds=10,
        log_z=np.nan,
    )


def widths(n_chains: int) -> list[int]:
    """In the order of `WIDTHS`."""
    return [1, 2, -(-n_chains // 2), n_chains]


def point(name: str, lanes: int, runs: int, least_seconds: float) -> None:
    """Gives the times of one model and width: medians over seeds."""
    import jax

    jax.config.update("jax_enable_x64", overhead_problems.uses_x64(name))
    _, run = runner(problem(name), lanes=lanes)
    pt = long_enough(run, least_seconds)
    last = [run(len(pt.rounds), seed).rounds[-1] for seed in range(1, runs + 1)]
    own_process.give(
        {
            "scan_us": 1e6 * statistics.median(one.seconds / one.n_scans for one in last),
            "gradient_us": 1e6 * statistics.median(one.seconds / one.n_gradients for one in last),
        }
    )


def row(title: str, n_chains: int, auto: int, found: list[dict[str, float]]) -> list[str]:
    """The cells of a model, from the times of its `widths`."""
    each = dict(zip(widths(n_chains), (one["gradient_us"] for one in found), strict=True))
    return [
        title,
        str(n_chains),
        *(number(one["scan_us"]) for one in found),
        *(number(one["gradient_us"]) for one in found),
        str(auto),
        f"{each[auto] / min(each.values()):.2f}",
    ]


def cells(name: str, runs: int, least_seconds: float) -> list[str]:
    """Measures a model, or says why not."""
    from numpygeons.drivers.lanes import width

    absent = overhead_problems.missing(name)
    if absent:
        return [TITLES[name], absent]
    n_chains = overhead_problems.CHAINS.get(name, 10)
    found = []
    for lanes in widths(n_chains):
        arguments = [__file__, "--point", name, str(lanes), str(runs), str(least_seconds)]
        one, trouble = own_process.run_apart(arguments)
        if trouble:
            return [TITLES[name], str(n_chains), trouble]
        found += one
    return row(TITLES[name], n_chains, width("auto", n_chains, "fused"), found)


def main() -> None:
    if sys.argv[1:2] == ["--point"]:
        name, lanes, runs, least_seconds, _ = sys.argv[2:]
        point(name, int(lanes), int(runs), float(least_seconds))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="", help=",".join(TITLES))
    parser.add_argument("--runs", type=int, default=3, help="per figure, which is their median")
    parser.add_argument("--seconds", type=float, default=LEAST_SECONDS, help="of the last round")
    options = parser.parse_args()
    print(f"{machine()}; medians of {options.runs} runs\n")
    print_head(COLUMNS)
    for name in names(options.models, tuple(TITLES)):
        print(line(cells(name, options.runs, options.seconds), len(COLUMNS)), flush=True)


if __name__ == "__main__":
    main()
