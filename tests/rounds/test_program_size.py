"""Tests that what is compiled does not grow with the run, and holds the model once."""

from functools import partial

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import pytest
from jax.experimental.ode import odeint
from numpyro.contrib.control_flow import scan

from numpygeons import HMC, MALA, AutoMALA, Compose, NumPyroPath
from numpygeons.drivers.exploration import make_explore
from numpygeons.explorers.hmc_tuning import Ways
from numpygeons.rounds.programs import first_operands, shapes_of
from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate

EXPLORERS = [HMC(), AutoMALA(), MALA(), Compose(HMC(n_components=0), MALA())]


def wave():
    """Its gradient has a cosine, which nothing else in a program has."""
    x = numpyro.sample("x", dist.Normal(0, 1).expand([3]).to_event(1))
    numpyro.factor("wave", jnp.sum(jnp.sin(x)))


def random_walk(n):
    def step(x, y):
        x = jnp.sin(x)
        numpyro.sample("y", dist.Normal(x, 1), obs=y)
        return x, None

    scan(step, numpyro.sample("x", dist.Cauchy(0, 1)), jnp.zeros(n))


def two_supports(n):
    mean = jnp.sin(numpyro.sample("mean", dist.Normal(0, 1)))
    parts = [dist.Exponential(1.0), dist.Normal(mean, 1)]
    mixture = dist.MixtureGeneral(
        dist.Categorical(probs=jnp.full(2, 0.5)), parts, support=dist.constraints.real
    )
    with numpyro.plate("data", n):
        numpyro.sample("y", mixture, obs=jnp.linspace(0.1, 1, n))


def solved(n):
    rate = jnp.sin(numpyro.sample("rate", dist.Normal(0, 1)))
    times = jnp.linspace(0, 1, n)
    amounts = odeint(lambda amount, time, rate: -rate * amount, jnp.array(1.0), times, rate)
    numpyro.sample("y", dist.Normal(amounts, 1), obs=jnp.zeros(n))


def program(explorer, n_chains=4, own=None, model=wave):
    """That of the first round, or of what its explorer reads otherwise."""
    path = as_path(NumPyroPath(model), (), None)
    evaluate = make_evaluate(path, with_gradients=explorer.needs_gradients)
    own = first_operands(explorer, n_chains, path.dimension) if own is None else own
    shapes = shapes_of(path, evaluate, explorer, n_chains, n_chains, own).of_one_scan()
    return jax.jit(make_explore(explorer, evaluate)).lower(*shapes).as_text()


@pytest.mark.usual("HMC")
@pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda explorer: type(explorer).__name__)
def test_it_does_not_grow_with_the_number_of_chains(explorer):
    assert program(explorer, 4).count("\n") == program(explorer, 400).count("\n")


@pytest.mark.usual("max_length")
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


@pytest.mark.usual("two_supports", "random_walk")
@pytest.mark.parametrize("model", [random_walk, two_supports, solved])
def test_it_does_not_grow_with_the_data_and_holds_the_gradient_once(model):
    few, many = (program(HMC(), model=partial(model, n)) for n in (5, 50))
    assert few.count("\n") == many.count("\n")
    assert few.count("cosine") == 1


@pytest.mark.usual("AutoMALA*", "HMC*")
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
