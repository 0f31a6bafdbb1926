"""Common mistakes in a model or its arguments: site, line and remedy, before compiling."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan

from numpygeons import JaxTarget
from numpygeons.errors import ModelError
from numpygeons.target.path import as_path

Y = np.array([0.4, -1.1, 2.0, 0.3])
NOT_OF_JAX = re.compile(
    "Traced<|Tracer|XlaRuntime|INTERNAL|ConcretizationType|traced array|abstract array"
)


class Table:
    """Stands for a library's table: its module has that library's name."""

    def __init__(self, kind, module):
        made = type(kind, (), {"__module__": module, "__array__": lambda *_: Y})
        self.value = made()


SERIES = Table("Series", "pandas.core").value


def normal(y=Y, scale=1.0):
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x, scale), obs=y)


def times(factor):
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(x * factor, 1), obs=Y)


def standard(function):
    """A model that hands a standard normal latent x to a function."""

    def model(*args):
        return function(numpyro.sample("x", dist.Normal(0, 1)), *args)

    return model


def factor(function):
    return standard(lambda x: numpyro.factor("f", function(x)))


def indexed_in_a_scan(y):
    def step(carry, t):
        numpyro.sample("y", dist.Normal(carry, 1), obs=y[t])
        return carry, None

    scan(step, numpyro.sample("x", dist.Normal(0, 1)), jnp.arange(4))


def indexed_by_a_latent(y):
    x = numpyro.sample("x", dist.Normal(0, 1))
    numpyro.factor("f", y[jnp.int32(x)])


def under_a_plate(size, data, scale=1.0):
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        with numpyro.plate("n", size):
            numpyro.sample("y", dist.Normal(x, scale), obs=data)

    return model


def several(n):
    def model(y):
        x = numpyro.sample("x", dist.Normal(0, 1).expand([n]).to_event(1))
        numpyro.sample("y", dist.MultivariateNormal(x, jnp.eye(n)), obs=y)

    return model


def twice():
    normal()
    numpyro.sample("y", dist.Normal(0, 1), obs=Y)


def enumerated():
    w = numpyro.sample("w", dist.Normal(0, 1))
    with numpyro.plate("n", 4):
        z = numpyro.sample("z", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
        numpyro.sample("y", dist.Normal(np.eye(4) @ z + w, 1), obs=Y)


def write_into_numpy(x):
    array = np.zeros(4)
    array[0] = x


def in_a_loop():
    def body(i, total):
        return total + numpyro.sample("x", dist.Normal(0, 1))

    numpyro.factor("f", jax.lax.fori_loop(0, 3, body, 0.0))


def in_vmap():
    x = jax.vmap(lambda _: numpyro.sample("x", dist.Normal(0, 1)))(jnp.arange(3))
    numpyro.factor("f", jnp.sum(x))


def shapes_of_a_product(x):
    return x * jnp.ones(3) + jnp.ones(4)


MASKED = np.ma.masked_array(Y, [0, 1, 0, 0])
OBJECTS = np.array([1.0, None, 2.0, 3.0])
REFUSED = {
    "complex factor": (factor(lambda x: -(x**2) + 1j * x), (), "site 'f'.*density is complex"),
    "complex latent": (
        lambda: numpyro.sample("z", dist.Normal(1j, 1)),
        (),
        "site 'z'.*draw is complex",
    ),
    "complex data": (normal, (np.array([1j, 2]),), "'y' is given complex numbers"),
    "Series as data": (normal, (SERIES,), r"'y' is given a pandas Series.*\.to_numpy\(\)"),
    "polars": (normal, (Table("Series", "polars.series").value,), r"a polars Series.*to_numpy"),
    "NumPy data in a scan": (
        indexed_in_a_scan,
        (Y,),
        r"step of the scan as an index into a NumPy array.*obs=y\[t\].*jnp\.asarray\(data\)\[i\]",
    ),
    "list in a scan": (indexed_in_a_scan, (list(Y),), r"index into a NumPy.*jnp\.asarray"),
    "NumPy data by a latent": (indexed_by_a_latent, (Y,), r"a latent as an index.*jnp\.asarray"),
    "masked array as data": (normal, (MASKED,), r"'y' is given a masked array.*handlers\.mask"),
    "masked array": (times, (MASKED,), r"times.*model_args\[0\] is a masked array|x \* factor"),
    "objects as data": (normal, (OBJECTS,), r"'y'.*Python objects, with None at \[1\].*float"),
    "list with None": (normal, ([0.1, None],), "'y' is given a list with None in it.*NaN where"),
    "ragged list": (normal, ([[0.1], [1.0, 2.0]],), "'y' is given a list of parts with different"),
    "text as data": (normal, (np.array(["a", "b"]),), "'y' is given an array of text.*np.unique"),
    "one text as data": (normal, ("abc",), "'y' is given text, 'abc'"),
    "dates as data": (normal, (np.array(["2020-01-01"], "M8[D]"),), "'y'.*dates.*timedelta64"),
    "generator as data": (normal, (iter([0.1]),), r"'y' is given a list_iterator.*np\.array\(list"),
    "dictionary as data": (normal, ({"a": 1.0},), "'y' is given a dict"),
    "bounds the wrong way": (
        lambda: numpyro.sample("u", dist.Uniform(2, 1)),
        (),
        r"'u' \(Uniform\) has the lower bound 2 and the upper bound 1",
    ),
    "equal bounds": (
        lambda: numpyro.sample("u", dist.Uniform(1, 1).expand([3]).to_event(1)),
        (),
        "'u'.*lower bound 1 and the upper bound 1",
    ),
    "one pair of bounds": (
        lambda: numpyro.sample("u", dist.TruncatedNormal(0, 1, low=np.array([0, 3.0]), high=2.0)),
        (),
        "'u'.*lower bound 3.0 and the upper bound 2.0",
    ),
    "negative scale": (
        normal,
        (Y, -1.0),
        r"Normal got scale = -1.0, wanted Pos",
    ),
    "NaN as a scale": (normal, (Y, np.nan), r"Normal got scale = nan, wanted"),
    "plate of another size": (
        under_a_plate(10, np.zeros(20)),
        (),
        r"'y': data of shape \(20,\).*batch shape \(10,\) under plate 'n' of size 10",
    ),
    "parameters of another size": (
        under_a_plate(20, np.zeros(20), np.ones(10)),
        (),
        r"'y'.*batch shape \(10,\), which does not fit plate 'n' of size 20",
    ),
    "data of another length": (several(3), (np.zeros(4),), r"'y'.*\(4,\).*event shape \(3,\)"),
    "data in other columns": (
        several(3),
        (np.zeros((5, 4)),),
        r"'y'.*\(5, 4\).*event shape \(3,\)",
    ),
    "empty plate": (under_a_plate(0, Y), (), "plate.*should be positive"),
    "two sites of one name": (twice, (), "two sites are named 'y'.*its own name"),
    "matmul of an enumerated latent": (
        enumerated,
        (),
        r"\['z'\] cannot be summed out.*np\.eye\(4\) @ z.*axis to the left.*z\[\.\.\., None\]",
    ),
    "a condition": (standard(lambda x: 1 if x > 0 else 2), (), "as a condition.*x > 0.*jnp.where"),
    "float": (standard(lambda x: float(x)), (), r"Python number.*float\(x\)"),
    "range": (standard(lambda x: range(jnp.int32(x))), (), "Python integer.*range"),
    "NumPy's function": (standard(lambda x: np.sin(x)), (), "function of NumPy.*np.sin.*jnp"),
    "written into NumPy": (
        standard(write_into_numpy),
        (),
        r"entry of a NumPy array.*array\[0\] = x.*\.at\[i\]\.set",
    ),
    "factor None": (factor(lambda x: None), (), "factor 'f'.*got None"),
    "factor of text": (factor(lambda x: "a"), (), "factor 'f'.*got text"),
    "factor of truth": (factor(lambda x: x > 0), (), "factor 'f' is True or False.*jnp.where"),
    "deterministic None": (
        standard(lambda x: numpyro.deterministic("d", None)),
        (),
        "deterministic site 'd' must be a number or an array: got NoneType",
    ),
    "deterministic dictionary": (
        standard(lambda x: numpyro.deterministic("d", {"a": x})),
        (),
        "deterministic site 'd'.*got dict",
    ),
    "number as a name": (lambda: numpyro.sample(3, dist.Normal()), (), "name.*must be text: got 3"),
    "site in a loop": (in_a_loop, (), "'x' stands inside a transformation.*control_flow.scan"),
    "site in vmap": (in_vmap, (), "'x' stands inside a transformation of JAX.*numpyro.plate"),
    "a maker of models": (lambda: normal, (), "no latent site.*returned a function.*its maker"),
    "site in jit": (jax.jit(normal), (), "'x' stands inside a transformation.*take jax.jit off"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Casting complex")
def test_a_common_mistake_is_named_with_its_remedy(name):
    model, args, message = REFUSED[name]
    with pytest.raises(ModelError, match=re.compile(message, re.DOTALL)) as caught:
        as_path(model, args)
    assert not NOT_OF_JAX.search(str(caught.value))


WRONG_TYPES = {
    "shapes": (
        standard(shapes_of_a_product),
        (),
        r"failed \(line \d+ of .*jnp.ones\(3\) \+.*\(3,\)",
    ),
    "list in arithmetic": (times, ([1.0, 2.0],), r"model_args\[0\] is a list.*jnp\.asarray"),
    "objects in arithmetic": (times, (OBJECTS,), r"model_args\[0\] is an array of Python objects"),
    "no name": (lambda: numpyro.sample(dist.Normal()), (), "numpyro.sample.*'fn'"),
    "no distribution": (lambda: numpyro.sample("x", 0.5), (), "Distribution, but received float"),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_operand_of_a_wrong_kind_is_named_with_the_line(name):
    model, args, message = WRONG_TYPES[name]
    with pytest.raises(TypeError, match=re.compile(message, re.DOTALL)) as caught:
        as_path(model, args)
    assert not NOT_OF_JAX.search(str(caught.value))


def generator():
    yield numpyro.sample("x", dist.Normal(0, 1))


async def coroutine():
    numpyro.sample("x", dist.Normal(0, 1))


class Callable:
    def __call__(self):
        normal()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (generator, "generator has `yield` in it"),
        (coroutine, "coroutine has `async` in it"),
        (Callable, "got the class Callable; pass an instance"),
    ],
)
def test_what_does_not_run_when_called_is_no_model(model, message):
    with pytest.raises(TypeError, match=message):
        as_path(model)
    assert as_path(Callable()).dimension == 1


def test_a_complex_target_of_functions_is_refused():
    target = JaxTarget(
        log_reference=lambda x: -0.5 * x**2,
        log_target=lambda x: -(x**2) + 1j * x,
        sample_reference=lambda key: jax.random.normal(key),
    )
    with pytest.raises(TypeError, match=r"log_target must return a floating scalar.*complex"):
        as_path(target)


FUNCTIONS = {
    "a condition": (lambda x: x if x > 0 else -x, TypeError, r"x > 0.*as a condition.*jnp.where"),
    "NumPy's function": (lambda x: np.sin(x), TypeError, r"np\.sin.*function of NumPy.*jnp"),
    "shapes": (lambda x: jnp.concatenate([x, x]), ValueError, "concatenate.*Zero-dim"),
    "text": (lambda x: "a", TypeError, "must be a JAX function of one argument.*str"),
    "None": (lambda x: None, ValueError, "log_target must return one scalar, got None"),
    "truth": (lambda x: x > 0, TypeError, "log_target must return a floating scalar, got dtype"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_common_mistake_in_a_target_of_functions_is_named_with_its_remedy(name):
    function, error, message = FUNCTIONS[name]
    target = JaxTarget(
        log_reference=lambda x: -0.5 * x**2,
        log_target=function,
        sample_reference=lambda key: jax.random.normal(key),
    )
    with pytest.raises(error, match=re.compile(message, re.DOTALL)) as caught:
        as_path(target)
    assert not NOT_OF_JAX.search(str(caught.value))


@pytest.mark.parametrize("error", [KeyError("mine"), ValueError("mine"), AssertionError("mine")])
def test_what_the_model_raises_itself_passes_through(error):
    def model():
        numpyro.sample("x", dist.Normal(0, 1))
        raise error

    with pytest.raises(type(error), match="mine") as caught:
        as_path(model)
    assert caught.value is error


def test_what_python_raises_in_the_model_passes_through():
    with pytest.raises(KeyError, match="'b'"):
        as_path(standard(lambda x: {"a": 1}["b"]))
    with pytest.raises(ZeroDivisionError):
        as_path(standard(lambda x: 1 / 0))


def test_a_series_of_pandas_is_named_wherever_it_is_used():
    pandas = pytest.importorskip("pandas")
    for model in (normal, times):
        with pytest.raises(ModelError, match=r"a pandas Series: pass its numbers, \.to_numpy\(\)"):
            as_path(model, (pandas.Series(Y),))
        assert as_path(model, (pandas.Series(Y).to_numpy(),)).dimension == 1


def test_bounds_that_hold_one_count_are_accepted():
    def model():
        p = numpyro.sample("p", dist.Beta(1, 1))
        numpyro.sample("y", dist.Binomial(np.array([0, 3]), p), obs=np.array([0, 2]))

    assert as_path(model).dimension == 1


def test_a_model_may_take_tables_and_text_and_use_them_as_it_likes():
    def model(table, kind):
        assert kind == "plain"
        normal(np.asarray(table))

    assert as_path(model, (SERIES, "plain")).dimension == 1
