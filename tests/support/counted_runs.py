"""Runs models as a process of its own does, and says what was compiled: see test_cache.py.

    python counted_runs.py '[{"explorer": "HMC", "dtype": "float32", ...}, ...]'

prints one JSON object per run: how many programs XLA compiled, and a digest of the results.
"""

import json
import sys
from hashlib import sha256

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import monitoring

import numpygeons

Y = np.array([0.3, -1.2, 0.8, 2.1])
ASKED, FOUND = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"


class Count:
    """Programs that JAX asked XLA for, less those it found in a cache."""

    def __init__(self):
        self.compiled = 0
        monitoring.register_event_duration_secs_listener(self._asked)
        monitoring.register_event_listener(self._found)

    def _asked(self, event, _seconds, **_):
        self.compiled += event == ASKED

    def _found(self, event, **_):
        self.compiled -= event == FOUND


def normal(y):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(2))
    numpyro.sample("y", dist.Normal(mu, tau), obs=y)


def funnel(y):
    log_scale = numpyro.sample("log_scale", dist.Normal(0, 2))
    with numpyro.plate("data", len(y)):
        x = numpyro.sample("x", dist.Normal(0, jnp.exp(log_scale)))
        numpyro.sample("y", dist.Normal(x, 1), obs=y)


def calling_python(y):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    shift = jax.pure_callback(lambda: np.float32(0.5), jax.ShapeDtypeStruct((), np.float32))
    numpyro.sample("y", dist.Normal(mu + jax.lax.stop_gradient(shift), 1), obs=y)


MODELS = {f.__name__: f for f in (normal, funnel, calling_python)}


def run(count, *, model="normal", explorer="HMC", dtype="float32", **settings):
    before = count.compiled
    with jax.enable_x64(dtype == "float64"):
        pt = numpygeons.pigeons(
            MODELS[model],
            model_args=(Y.astype(dtype),),
            explorer=getattr(numpygeons, explorer)(),
            show_report=False,
            **{"n_chains": 4, "n_rounds": 5, **settings},
        )
        samples = [np.asarray(pt.samples[site]) for site in sorted(pt.samples)]
    digest = sha256(np.float64(pt.log_z).tobytes())
    for values in samples:
        digest.update(values.dtype.name.encode() + values.tobytes())
    return {"compiled": count.compiled - before, "digest": digest.hexdigest()}


if __name__ == "__main__":
    count = Count()
    for settings in json.loads(sys.argv[1]):
        print(json.dumps(run(count, **settings)), flush=True)
