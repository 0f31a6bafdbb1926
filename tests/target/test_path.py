"""A path gives one flat vector, names for it, and functions that JAX can transform."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons.errors import ModelError
from numpygeons.target.path import JaxTarget, NumPyroPath, TemperedPath, as_path

pytestmark = pytest.mark.filterwarnings("ignore:the data do not depend on the latents")

Y, SIGMA = np.array([2.0, -1.0, 0.5]), np.array([1.0, 2.0, 1.5])


def schools(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(sigma)):
        z = numpyro.sample("z", dist.Normal(0, 1))
        theta = numpyro.deterministic("theta", mu + tau * z)
        numpyro.sample("y", dist.Normal(theta, sigma), obs=y)


def tables():
    with numpyro.plate("row", 3, dim=-2), numpyro.plate("column", 2, dim=-1):
        w = numpyro.sample("w", dist.Dirichlet(jnp.ones(4)))
        numpyro.deterministic("head", w[..., :2])
        numpyro.sample("k", dist.Categorical(w), obs=jnp.zeros((3, 2), int))
    numpyro.factor("f", 0.0)


def test_sites_lie_in_the_order_of_the_model_each_raveled():
    path = as_path(schools, (Y, SIGMA))
    assert path.dimension == 5
    assert path.coordinate_names == ["mu", "tau", "z[0]", "z[1]", "z[2]"]
    free = path.unflatten(jnp.arange(5.0))
    assert list(free) == ["mu", "tau", "z"]
    np.testing.assert_array_equal(free["z"], [2, 3, 4])
    back = path.constrain(jnp.arange(5.0))
    assert list(back) == ["mu", "tau", "z", "theta"]
    np.testing.assert_allclose(back["theta"], np.e * np.arange(2, 5), rtol=1e-6)


@pytest.mark.slow
def test_plates_name_the_axes():
    path = as_path(tables)
    assert path.dims["w"] == ("row", "column", "w_dim_2")
    assert path.dims["head"] == ("row", "column", "head_dim_2")
    assert path.dims["k"] == ("row", "column")
    assert path.dims["f"] == ()
    assert {name: list(ticks) for name, ticks in path.coords.items()} == {
        "row": [0, 1, 2],
        "column": [0, 1],
    }
    assert path.observed == ("k", "f")
    assert path.coordinate_names[:4] == ["w[0,0,0]", "w[0,0,1]", "w[0,0,2]", "w[0,1,0]"]
    assert path.log_likelihood(jnp.zeros(path.dimension))["k"].shape == (3, 2)


def test_the_model_runs_three_times_and_never_again():
    calls = []

    def model():
        calls.append(1)
        schools(Y, SIGMA)

    path = as_path(model)
    for function in (path.log_reference, path.v):
        jax.jit(jax.value_and_grad(function))(jnp.zeros(5))
    jax.jit(jax.vmap(path.sample_reference))(jax.random.split(jax.random.key(0), 3))
    path.constrain(jnp.zeros(5))
    assert len(calls) == 3  # draws, densities, and these once more to compare


def test_the_log_reference_does_not_touch_the_data():
    data = np.arange(1000.0)

    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=data)

    path = as_path(model)
    assert "1000" in str(jax.make_jaxpr(path.v)(jnp.zeros(1)))
    assert "1000" not in str(jax.make_jaxpr(path.log_reference)(jnp.zeros(1)))


@pytest.mark.usual("float32")
def test_functions_can_be_batched_and_agree_with_single_calls(precision):
    path = as_path(schools, (), {"y": Y, "sigma": SIGMA})
    keys = jax.random.split(jax.random.key(3), 4)
    x = jax.vmap(path.sample_reference)(keys)
    assert x.dtype == path.dtype == precision
    for function in (path.log_reference, path.v):
        one_by_one = [function(row) for row in x]
        np.testing.assert_allclose(jax.jit(jax.vmap(function))(x), one_by_one, rtol=1e-5)
    np.testing.assert_allclose(x[0], path.sample_reference(keys[0]), rtol=1e-5)


def test_any_kind_of_key_will_do():
    path = as_path(schools, (Y, SIGMA))
    typed = path.sample_reference(jax.random.key(7))
    np.testing.assert_array_equal(path.sample_reference(jax.random.PRNGKey(7)), typed)
    other = path.sample_reference(jax.random.key(7, impl="rbg"))
    assert other.shape == typed.shape
    assert not np.array_equal(other, typed)


def test_a_path_keeps_its_precision():
    with_x64 = as_path(NumPyroPath(schools, (Y, SIGMA)))
    assert with_x64.dtype == np.float32
    assert as_path(with_x64) is with_x64


def test_missing_values_are_named():
    path = as_path(schools, (Y, SIGMA))
    with pytest.raises(ValueError, match=r"missing \['tau'\]"):
        path.unconstrain({"mu": 0.0, "z": np.zeros(3)})


@pytest.mark.usual("float32")
def test_the_gradient_is_clean_where_data_under_a_mask_are_nan(precision):
    data = np.array([0.1, np.nan])

    def model():
        s = numpyro.sample("s", dist.HalfNormal(1.0))
        with numpyro.handlers.mask(mask=~jnp.isnan(data)):
            numpyro.sample("y", dist.LogNormal(0, s), obs=data)

    value, gradient = jax.value_and_grad(as_path(model).v)(jnp.zeros(1))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


# ---------------------------------------------------------------------------------- JaxTarget


def tilted(**changes):
    functions = {
        "log_reference": lambda s: -0.5 * (s["a"] ** 2 + jnp.sum(s["b"] ** 2)),
        "log_target": lambda s: -0.5 * (s["a"] - 1) ** 2 - jnp.sum(s["b"] ** 2),
        "sample_reference": lambda key: {
            "b": jax.random.normal(key, (2,)),
            "a": jax.random.normal(jax.random.fold_in(key, 1)),
        },
    }
    return JaxTarget(**(functions | changes))


@pytest.mark.usual("float32")
def test_functions_of_a_pytree_become_functions_of_a_vector(precision):
    path = as_path(tilted(initial=lambda key: {"a": jnp.ones(()), "b": jnp.zeros(2)}))
    assert isinstance(path, TemperedPath)
    assert path.coordinate_names == ["a", "b[0]", "b[1]"]
    assert path.dtype == precision
    x = jnp.array([2.0, 1.0, 0.0], path.dtype)
    assert float(path.log_reference(x)) == -2.5
    assert float(path.v(x)) == 1.0
    assert not path.reference_is_normalised
    np.testing.assert_array_equal(path.initial(jax.random.key(0)), [1, 0, 0])
    np.testing.assert_array_equal(path.constrain(x)["b"], [1, 0])
    np.testing.assert_array_equal(path.unconstrain(path.constrain(x)), x)
    key = jax.random.PRNGKey(0)
    np.testing.assert_array_equal(path.sample_reference(key)[1:], jax.random.normal(key, (2,)))
    assert path.log_likelihood(x) == {}


def test_names_come_from_the_paths_of_the_pytree():
    nested = {"a": {"b": jnp.zeros(2)}, "c": [jnp.zeros(()), jnp.zeros(())]}
    total = lambda s: sum(jnp.sum(leaf) for leaf in jax.tree.leaves(s))  # noqa: E731
    path = as_path(JaxTarget(total, total, lambda key: nested))
    assert path.coordinate_names == ["a/b[0]", "a/b[1]", "c/0", "c/1"]
    bare = as_path(JaxTarget(jnp.sum, jnp.sum, lambda key: jnp.zeros(2)))
    assert bare.coordinate_names == ["x[0]", "x[1]"]
    assert list(bare.constrain(jnp.zeros(2))) == ["x"]


def test_minus_infinity_on_both_sides_stays_minus_infinity():
    wall = lambda x: jnp.where(x[0] > 0, -x[0], -jnp.inf)  # noqa: E731
    path = as_path(JaxTarget(wall, lambda x: 2 * wall(x), lambda key: jnp.ones(1)))
    assert path.v(jnp.array([-1.0])) == -jnp.inf
    assert path.v(jnp.array([1.0])) == -1.0


# --------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: as_path(3), TypeError, "target must be a NumPyro model.*got int"),
        (lambda: NumPyroPath(3), TypeError, "model must be a function.*got int"),
        (lambda: as_path(schools, Y), TypeError, r"tuple, got ndarray.*model_args=\(data,\)"),
        (lambda: as_path(schools, (), ["y"]), TypeError, "model_kwargs must be a dict.*got list"),
        (
            lambda: as_path(NumPyroPath(schools, (Y, SIGMA)), (Y,)),
            ValueError,
            "belong to a bare model, but target is a NumPyroPath",
        ),
        (lambda: as_path(tilted(), (), {"y": 1}), ValueError, "target is a JaxTarget"),
        (lambda: tilted(log_target=3.0), TypeError, "log_target must be a function.*got float"),
        (lambda: tilted(initial=0.0), TypeError, "initial must be a function of a JAX key"),
        (
            lambda: as_path(tilted(log_target=lambda s: s["b"])),
            ValueError,
            r"log_target must return one scalar, got float32\[2\]",
        ),
        (
            lambda: as_path(tilted(log_reference=lambda s: jnp.array(3))),
            TypeError,
            "log_reference must return a floating scalar, got dtype int32",
        ),
        (
            lambda: as_path(tilted(log_reference=lambda: 0.0)),
            TypeError,
            "log_reference must be a JAX function of one argument",
        ),
        (
            lambda: as_path(tilted(sample_reference=lambda key: {"a": jnp.array(1), "b": 0.0})),
            TypeError,
            "floating leaves, got dtype int32 at 'a'",
        ),
        (
            lambda: as_path(JaxTarget(jnp.sum, jnp.sum, lambda key: jnp.zeros((0, 2)))),
            ValueError,
            "no coordinates",
        ),
        (
            lambda: as_path(tilted(initial=lambda key: {"a": jnp.zeros(()), "b": jnp.zeros(3)})),
            ValueError,
            "initial must return the same pytree as sample_reference",
        ),
        (
            lambda: as_path(
                JaxTarget(lambda s: 0.0, lambda s: 0.0, lambda k: {"a/b": 1.0, "a": {"b": 2.0}})
            ),
            ValueError,
            "different names",
        ),
    ],
)
def test_bad_input_says_what_was_got_and_wanted(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert not isinstance(caught.value, ModelError)
