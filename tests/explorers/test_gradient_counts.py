"""A step of autoMALA costs few gradients: what a way back that is known saves, stays saved."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import AutoMALA, NumPyroPath, pigeons
from numpygeons.explorers import auto_step
from support.mutants import auto_mala_of, mutant
from support.small_models import eight_schools


def normal_50():
    x = numpyro.sample("x", dist.Normal(0, 2).expand([50]).to_event(1))
    numpyro.sample("y", dist.Normal(x, 1).to_event(1), obs=jnp.full(50, 2.0))


PATHS = {"eight schools": NumPyroPath(eight_schools), "normal 50": NumPyroPath(normal_50)}
MOST = {"eight schools": 4.5, "normal 50": 3.2}  # gradients per step


def gradients_per_step(name, n_chains, explorer=None):
    """Of the chains that are explored, in the last round."""
    pt = pigeons(
        PATHS[name],
        n_chains=n_chains,
        n_rounds=12,
        explorer=explorer or AutoMALA(n_refresh=1),
        show_report=False,
    )
    last = pt.rounds[-1]
    counts = np.asarray(last.explorer["n_gradients"])[1:]
    np.testing.assert_allclose(counts.sum() * last.n_scans, last.n_gradients)
    return counts.mean()


@pytest.mark.usual("eight schools-4")
@pytest.mark.parametrize("n_chains", [4, 12])
@pytest.mark.parametrize("name", PATHS)
def test_a_step_costs_few_gradients(name, n_chains):
    found = gradients_per_step(name, n_chains)
    print(f"{name}, {n_chains} chains: {found:.2f} gradients per step")
    assert 1 < found < MOST[name]


def test_a_search_that_forgets_the_known_way_back_costs_more():
    old = "(search.phase == BACKWARD) & (search"
    forgets = auto_mala_of(mutant(auto_step, old, "False & (search"))(n_refresh=1)
    assert gradients_per_step("normal 50", 4, forgets) > MOST["normal 50"]
