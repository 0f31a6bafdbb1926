"""Data in NumPy arrays are read each time a model is traced, as they are then."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

from numpygeons import NumPyroPath
from numpygeons.target.path import as_path
from numpygeons.xla.numpy_arrays import read_arrays_anew


def given(y):
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, 1), obs=y)


def closed_over(y):
    return lambda: given(y)


def as_jax(y):
    given(jnp.asarray(y))


WAYS = {
    "argument": lambda y: NumPyroPath(given, (y,)),
    "closed over": closed_over,
    "made an array of JAX": lambda y: NumPyroPath(as_jax, (y,)),
}


@pytest.fixture
def mended():
    if not read_arrays_anew():
        pytest.skip("this JAX keeps nothing of what it reads")


def v_at_zero(path):
    return float(jax.jit(path.v)(jnp.zeros(1)))


@pytest.mark.parametrize("way", WAYS)
def test_data_that_change_in_place_are_read_again(way):
    y = np.array([0.4, -1.1, 2.0, 0.3])
    before = as_path(WAYS[way](y))
    first = v_at_zero(before)
    assert first == pytest.approx(stats.norm.logpdf(y).sum(), rel=1e-5)
    y += 5
    assert v_at_zero(as_path(WAYS[way](y))) == pytest.approx(stats.norm.logpdf(y).sum(), rel=1e-5)
    assert v_at_zero(before) == first


def test_a_target_keeps_the_data_that_it_was_made_with():
    y, z = np.array([0.4, -1.1]), np.array([2.0])
    target = NumPyroPath(lambda y, more: given(jnp.append(y, more[0])), (y,), {"more": [z]})
    exact = stats.norm.logpdf([0.4, -1.1, 2.0]).sum()
    y += 5
    z += 5
    assert v_at_zero(as_path(target)) == pytest.approx(exact, rel=1e-5)
    y += 5
    with jax.enable_x64(True):
        assert v_at_zero(as_path(target)) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("way", WAYS)
def test_double_precision_has_all_digits_after_single_precision(way):
    y = np.array([1000.4, -1001.1, 2000.7, 300.3])
    single = as_path(WAYS[way](y))  # kept
    v_at_zero(single)
    with jax.enable_x64(True):
        double = v_at_zero(as_path(WAYS[way](y)))
    assert double == pytest.approx(stats.norm.logpdf(y).sum(), rel=1e-14)


def test_what_was_traced_in_double_precision_does_not_change_with_the_data(mended, x64):
    y = np.array([0.4, -1.1])
    path = as_path(closed_over(y))
    before = float(path.v(jnp.zeros(1)))
    y += 5
    assert float(path.v(jnp.zeros(1))) == before


def test_an_array_is_one_constant_however_often_it_is_read(mended, precision):
    y = np.array([0.4, np.nan, 2.0])
    assert len(jax.make_jaxpr(lambda x: jnp.sum(x * y) + jnp.sum(jnp.asarray(y)))(1.0).consts) == 1


@pytest.mark.parametrize(
    "array",
    [np.arange(3), np.array([True, False]), np.array(2.5), np.zeros((0, 2)), np.ones((4, 3)).T],
    ids=["integers", "truth values", "a number", "nothing", "transposed"],
)
def test_other_arrays_are_read_as_before(array, mended, precision):
    taken = jnp.asarray(array)
    assert taken.shape == array.shape
    assert taken.dtype == jax.dtypes.canonicalize_dtype(array.dtype)
    np.testing.assert_array_equal(taken, array)
