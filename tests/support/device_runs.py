"""Runs by the device's driver, which a CPU and an accelerator take alike."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy import stats

from numpygeons import HMC, AutoMALA, NumPyroPath, SliceSampler, pigeons
from support.small_models import eight_schools, normal

TWO_MODES_LOG_Z = np.log(2) + 2 * (
    0.5 * np.log(2 * np.pi / 16) + stats.norm.logpdf(3, 0, np.sqrt(9 + 1 / 16))
)


def two_modes():
    """Two narrow modes, at -3 and 3 in both coordinates."""
    x = numpyro.sample("x", dist.Normal(0, 3).expand([2]).to_event(1))
    numpyro.factor("modes", jnp.logaddexp(*(-8.0 * jnp.sum((x - m) ** 2) for m in (-3.0, 3.0))))


MODELS = {"eight_schools": (eight_schools, 10), "two_modes": (two_modes, 10), "normal": (normal, 3)}
EXPLORERS = {"HMC": HMC(), "AutoMALA": AutoMALA(), "SliceSampler": SliceSampler()}


def run(target=normal, **settings):
    defaults = {"n_chains": 3, "n_rounds": 6, "driver": "device", "show_report": False}
    return pigeons(target, **{**defaults, **settings})


def course(model, explorer, driver):
    """The swaps of all rounds of a short run, and its draws."""
    target, n_chains = MODELS[model]
    pt = run(
        target,
        n_chains=n_chains,
        explorer=EXPLORERS[explorer],
        driver=driver,
        record=["traces", "index_process"],
    )
    return {"index_process": pt.index_process, **pt.samples}


def check_evidence_of_two_modes():
    path = NumPyroPath(two_modes)
    runs = [run(path, n_chains=6, n_rounds=10, seed=seed) for seed in range(1, 9)]
    p_value = stats.ttest_1samp([pt.log_z for pt in runs], TWO_MODES_LOG_Z).pvalue
    assert p_value > 1e-6
    assert np.std([pt.log_z for pt in runs]) < 0.2
    right = np.mean([pt.samples["x"][:, 0] > 0 for pt in runs])
    assert 0.3 < right < 0.7
