"""What a model may do, but hardly means to: terms counted often, data of no use, chance inside."""

import random
import re
import time
import warnings
from contextlib import ExitStack

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan

from numpygeons import JaxTarget
from numpygeons.errors import ModelError, NumpygeonsWarning
from numpygeons.target.path import as_path

Y = np.linspace(-1, 1, 20)


def against(shape, data=Y, plates=(), scale=1.0, event=0):
    """Data against a latent of some shape, under plates from the right."""

    def model():
        x = numpyro.sample("x", dist.Normal(0, 1).expand(shape).to_event(len(shape)))
        with ExitStack() as frames:
            for i, size in enumerate(plates):
                frames.enter_context(numpyro.plate(f"p{i}", size))
            numpyro.sample("y", dist.Normal(x, scale).to_event(event), obs=data)

    return model


def rows_in_a_scan(x, rows):
    def model():
        latent = numpyro.sample("x", dist.Normal(0, 1).expand(x).to_event(len(x)))

        def step(carry, row):
            numpyro.sample("y", dist.Normal(latent, 1), obs=row)
            return carry, None

        scan(step, 0.0, jnp.asarray(rows))

    return model


CROSSED = {
    "column against row": (against((20, 1)), r"'y'.*\(20, 20\), 400 terms.*\(20,\).*\(20, 1\)"),
    "row against column": (against((20,), Y[:, None]), r"\(20, 20\).*\(20, 1\).*shape \(20,\)"),
    "under a plate": (against((20, 1), plates=(20,)), r"\(20, 20\), 400 terms"),
    "of different lengths": (against((7, 1)), r"\(7, 20\), 140 terms"),
    "within the distribution": (against((20, 1), scale=np.ones(20)), r"\(20, 20\), 400 terms"),
    "in a scan": (rows_in_a_scan((4, 1), np.ones((3, 4))), r"\(4, 4\), 16 terms"),
    "of events": (against((5, 1, 3), np.ones((4, 3)), event=1), r"\(5, 4\), 20 terms"),
}


@pytest.mark.parametrize("name", CROSSED)
def test_data_and_distribution_that_broadcast_against_each_other_are_warned_about(name):
    model, message = CROSSED[name]
    with pytest.warns(NumpygeonsWarning, match=message) as caught:
        as_path(model)
    assert [record.filename for record in caught] == [__file__]


def with_a_mask():
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, 1).mask(np.arange(20) > 3), obs=Y)


def a_matrix_of_factors():
    x = numpyro.sample("x", dist.Normal(0, 1).expand([5]))
    numpyro.factor("f", -((x[:, None] - Y) ** 2))


MEANT = {
    "one number over a plate": against((), 0.5, plates=(20,)),
    "one number, many means": against((20,), 0.5),
    "one row of one": against((20,), np.array([0.5])),
    "data along a plate, one mean": against((), plates=(20,)),
    "one mean, no plate": against(()),
    "one mean in one column": against((1,)),
    "one mean per row": against((3, 1), np.ones((3, 20))),
    "one mean per column": against((20,), np.ones((3, 20))),
    "two plates, one mean": against((), np.ones((3, 20)), plates=(20, 3)),
    "two plates, one mean per row": against((3, 1), np.ones((3, 20)), plates=(20, 3)),
    "the same data in each of three groups, by plates": against((3, 1), plates=(20, 3)),
    "a plate that repeats the data": against((), plates=(20, 3)),
    "events": against((4, 3), np.ones((4, 3)), event=1),
    "one event for all": against((3,), np.ones((4, 3)), event=1),
    "rows in a scan": rows_in_a_scan((4,), np.ones((3, 4))),
    "a mask": with_a_mask,
    "a matrix of factors": a_matrix_of_factors,
}


@pytest.mark.parametrize("name", MEANT)
def test_broadcasting_that_counts_every_datum_as_declared_is_silent(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", NumpygeonsWarning)
        as_path(MEANT[name])


def chance(number):
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=0.5)
        numpyro.factor("f", -number() * x**2)

    return model


CHANCE = {
    "NumPy's generator": lambda: np.random.rand(),  # noqa: NPY002
    "NumPy's generator, an array": lambda: np.sum(np.random.rand(3)) * jnp.ones(2)[0],  # noqa: NPY002
    "a generator of its own": lambda: np.random.default_rng().random(),
    "Python's generator": random.random,
    "the clock": lambda: time.perf_counter() % 1,
    "within a jitted function": lambda: jax.jit(lambda: np.random.default_rng().random() + 0.0)(),
}


@pytest.mark.parametrize("name", CHANCE)
def test_numbers_that_change_between_calls_are_warned_about(name):
    with pytest.warns(NumpygeonsWarning, match=r"'f' changes between.*model_args") as caught:
        as_path(chance(CHANCE[name]))
    assert [record.filename for record in caught] == [__file__]


def test_a_draw_that_happens_to_agree_is_warned_about_all_the_same():
    with pytest.warns(NumpygeonsWarning, match="draws from the global generator"):
        as_path(chance(lambda: 0.5 + 0 * np.random.rand()))  # noqa: NPY002


def test_a_model_that_seeds_its_own_generator_is_silent():
    def seeded():
        np.random.seed(3)  # noqa: NPY002
        return np.random.rand() + np.random.default_rng(1).random()  # noqa: NPY002

    assert as_path(chance(seeded)).dimension == 1


def test_a_key_that_is_made_anew_with_the_same_seed_is_silent():
    def model():
        with jax.ensure_compile_time_eval():
            key = jax.random.key(3)
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=0.5)
        numpyro.factor("f", -(x**2) * jax.random.uniform(key))

    assert as_path(model).dimension == 1


def test_a_prior_that_changes_between_calls_is_refused():
    def model():
        x = numpyro.sample("x", dist.Normal(np.random.default_rng().random(), 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=0.5)

    with pytest.raises(ModelError, match=r"prior changes between calls.*its density disagree"):
        as_path(model)


def test_a_target_of_functions_that_changes_between_calls_is_warned_about():
    def target(log_target):
        return JaxTarget(
            log_reference=lambda x: -0.5 * x**2,
            log_target=log_target,
            sample_reference=lambda key: jax.random.normal(key),
        )

    with pytest.warns(NumpygeonsWarning, match="log_target changes between calls"):
        as_path(target(lambda x: -(x**2) * np.random.default_rng().random()))
    as_path(target(lambda x: -(x**2)))


def apart(*factors):
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(0, 1), obs=Y)
        for i, function in enumerate(factors):
            numpyro.factor(f"f{i}", function(x))

    return model


def test_data_that_do_not_depend_on_the_latents_are_warned_about():
    with pytest.warns(NumpygeonsWarning, match="no latent enters the log likelihood of 'y', 'f0'"):
        as_path(apart(lambda x: 3.0))
    as_path(apart(lambda x: 3.0, lambda x: -x))  # one that does is enough


@pytest.mark.parametrize(
    ("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")], ids=str
)
def test_a_likelihood_that_is_no_finite_number_for_any_latent_is_refused_by_site(value, text):
    message = rf"'f0' has the log likelihood {text} whatever"
    for factor in (
        lambda x: value,
        lambda x: jnp.exp(0.0) * value,
        lambda x: jnp.array([0, value]),
    ):
        with pytest.raises(ModelError, match=re.compile(message)):
            as_path(apart(factor, lambda x: -x))
