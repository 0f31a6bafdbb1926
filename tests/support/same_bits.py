"""Runs configurations and prints digests of all that came out: `mpiexec -n 3 python same_bits.py`.

Words: the threads, a folder for the checkpoints, and the configurations as JSON.
"""

import hashlib
import io
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import NUTS

from mrna import mrna, simulated
from numpygeons import (
    HMC,
    MALA,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    Compose,
    Mix,
    NumPyroKernel,
    SliceSampler,
    pigeons,
)
from numpygeons.checkpoint import file
from numpygeons.parallel.ranks import find_ranks
from support.own_explorers import Walk
from support.run_digest import digest
from support.small_models import eight_schools

TIMES = ("seconds", "compile_seconds")
RECORD = ("traces", "round_trip", "energy_ac1", "online", "index_process")


@dataclass(frozen=True)
class Configuration:
    model: str
    explorer: str
    n_chains: int
    driver: str
    precision: str
    n_rounds: int = 6
    seed: int = 1


def smooth_curve(t, y):
    """A Gaussian process: its Cholesky factor is a library call, so XLA makes many kernels."""
    amplitude = numpyro.sample("amplitude", dist.HalfNormal(2.0))
    length = numpyro.sample("length", dist.LogNormal(0.0, 1.0))
    noise = numpyro.sample("noise", dist.HalfNormal(1.0))
    near = jnp.exp(-0.5 * ((t[:, None] - t) / length) ** 2)
    covariance = amplitude**2 * near + (noise**2 + 1e-3) * jnp.eye(len(t))
    numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(len(t)), covariance), obs=y)


T = np.linspace(0, 4, 9)
DATA = simulated(n=30)
MODELS = {
    "eight schools": (eight_schools, ()),
    "mrna": (mrna, (DATA["t"], DATA["y"])),
    "smooth curve": (smooth_curve, (T, np.sin(2 * T) + 0.1 * np.cos(9 * T))),
}
EXPLORERS = {
    "HMC": HMC(),
    "AutoMALA": AutoMALA(),
    "AutoHMC": AutoHMC(),
    "AutoRWMH": AutoRWMH(),
    "SliceSampler": SliceSampler(),
    "MALA": MALA(),
    "Compose": Compose(MALA(), SliceSampler()),
    "Mix": Mix(HMC(), AutoRWMH()),
    "NUTS": NumPyroKernel(NUTS, max_tree_depth=3),
    "own": Walk(),
}


def run(configuration, **settings):
    model, data = MODELS[configuration.model]
    with jax.enable_x64(configuration.precision == "float64"):
        return pigeons(
            model,
            model_args=data,
            explorer=EXPLORERS[configuration.explorer],
            n_chains=configuration.n_chains,
            n_rounds=configuration.n_rounds,
            seed=configuration.seed,
            driver=configuration.driver,
            record=RECORD,
            show_report=False,
            **settings,
        )


def without_times(plain):
    if isinstance(plain, dict):
        return {k: without_times(v) for k, v in plain.items() if k not in TIMES}
    if isinstance(plain, list):
        return [without_times(v) for v in plain]
    return plain


def of_arrays(arrays):
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        array = np.ascontiguousarray(array)
        sha.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return sha.hexdigest()[:16]


def of_files(folder):
    """The content of each file but its times, and what names this run among others."""
    found = {}
    for path in sorted(Path(folder).iterdir()):
        if path.suffix == ".npz":  # draws, for NumPy alone
            with np.load(path) as stored:
                found[path.name] = of_arrays(dict(stored))
            continue
        with np.load(io.BytesIO(path.read_bytes()[file.PREAMBLE :])) as stored:
            arrays = dict(stored)
        header = json.loads(arrays.pop(file.HEADER))
        header = {k: v for k, v in header.items() if k not in ("id", "run")}
        arrays.pop("origin", None)  # pickled code
        text = json.dumps(without_times(header), sort_keys=True)
        found[path.name] = f"{of_arrays(arrays)} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return found


def digests(pt):
    return {
        "samples": of_arrays(pt.samples),
        "log_z": float(pt.log_z).hex(),
        "schedule": of_arrays({"": pt.schedule}),
        "round trips": [r.n_round_trips for r in pt.rounds],
        "state": digest(pt)[:16],
    }


def main(n_threads, folder, configurations):
    ranks = find_ranks()
    for number, words in enumerate(json.loads(configurations)):
        place = Path(folder) / str(number)
        pt = run(Configuration(**words), n_threads=int(n_threads), checkpoint=place)
        everyone = ranks.gather_all(digests(pt))
        if ranks.rank == 0:
            assert all(one == everyone[0] for one in everyone), everyone
            print("DIGESTS", json.dumps({**everyone[0], "files": of_files(place)}), flush=True)


def as_words(configurations):
    return json.dumps([asdict(c) for c in configurations])


if __name__ == "__main__":
    main(*sys.argv[1:])
