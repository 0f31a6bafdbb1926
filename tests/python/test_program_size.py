"""Tests that what is compiled does not grow with the run, and holds the model once."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import HMC, MALA, AutoMALA, Compose, NumPyroPath
from numpygeons.drivers.exploration import make_explore
from numpygeons.explorers.hmc_tuning import Ways
from numpygeons.path import as_path
from numpygeons.potential import make_evaluate
from numpygeons.programs import first_operands, shapes_of

EXPLORERS = [HMC(), AutoMALA(), MALA(), Compose(HMC(n_components=0), MALA())]


def wave():
    """Its gradient has a cosine, which nothing else in a program has."""
    x = numpyro.sample("x", dist.Normal(0, 1).expand([3]).to_event(1))
    numpyro.factor("wave", jnp.sum(jnp.sin(x)))


def program(explorer, n_chains=4, own=None):
    """That of the first round, or of what its explorer reads otherwise."""
    path = as_path(NumPyroPath(wave), (), None)
    evaluate = make_evaluate(path, with_gradients=explorer.needs_gradients)
    own = first_operands(explorer, n_chains, path.dimension) if own is None else own
    shapes = shapes_of(path, evaluate, explorer, n_chains, n_chains, own).of_one_scan()
    return jax.jit(make_explore(explorer, evaluate)).lower(*shapes).as_text()


@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda explorer: type(explorer).__name__)
def test_it_does_not_grow_with_the_number_of_chains(explorer):
    assert program(explorer, 4).count("\n") == program(explorer, 400).count("\n")


@pytest.mark.parametrize(
    ("few", "many"),
    [
        (AutoMALA(n_refresh=2), AutoMALA(n_refresh=20)),
        (HMC(max_length=4), HMC(max_length=200)),
        (HMC(n_components=2), HMC(n_components=16)),
    ],
    ids=["n_refresh", "max_length", "n_components"],
)
def test_it_does_not_grow_with_the_number_of_steps(few, many):
    assert program(few).count("\n") == program(many).count("\n")


@pytest.mark.parametrize(
    ("explorer", "n_sites"),
    [
        (AutoMALA(), 1),
        (MALA(), 1),
        (HMC(n_components=0), 1),
        (HMC(), 1),
        (Compose(HMC(n_components=0), AutoMALA()), 2),
    ],
    ids=repr,
)
def test_the_gradient_is_compiled_once_for_each_explorer(explorer, n_sites):
    assert program(explorer).count("cosine") == n_sites


def test_rounds_in_which_chains_take_both_ways_hold_the_gradient_twice_others_once():
    plain, mixed = (first_operands(HMC(n_components=k), 4, 3) for k in (0, 8))
    assert (plain.mixed, mixed.plain) == (None, None)
    assert program(HMC(), own=plain).count("cosine") == 1
    assert program(HMC(), own=mixed).count("cosine") == 1
    assert program(HMC(), own=Ways(plain.plain, mixed.mixed)).count("cosine") == 2
