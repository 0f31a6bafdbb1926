"""A Python function that a model calls may raise: its exception comes out, with the stage."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import ModelError, SliceSampler, pigeons
from numpygeons.target.path import as_path
from numpygeons.target.potential import make_evaluate
from numpygeons.xla import callback_errors

SCALAR = jax.ShapeDtypeStruct((), np.float32)


class Mine(Exception):
    """A user's own."""


class Called:
    """A log density in Python that fails from a certain call on."""

    def __init__(self, first_failure, result=None):
        self.n, self.first_failure, self.result = 0, first_failure, result

    def __call__(self, x):
        self.n += 1
        if self.n < self.first_failure:
            return np.float32(-(x**2))
        if self.result is not None:
            return self.result
        raise Mine(f"at {float(x):.3g}")

    def model(self):
        x = numpyro.sample("x", dist.Normal(0, 1))
        density = jax.pure_callback(self, SCALAR, x, vmap_method="sequential")
        numpyro.factor("f", density)


def run(called, **settings):
    settings = {"n_chains": 3, "n_rounds": 3, "show_report": False, **settings}
    return pigeons(called.model, explorer=SliceSampler(), **settings)


def test_what_a_callback_raises_comes_out_with_its_stage(capfd, caplog):
    with pytest.raises(Mine, match="at ") as caught:
        run(Called(1))
    assert "draws from the reference, before round 1" in caught.value.__notes__[-1]
    with pytest.raises(Mine, match="at ") as caught:
        run(Called(1100), n_threads=2)  # after the 1024 draws from the reference
    assert "raised in round" in caught.value.__notes__[-1]
    assert "Traceback" not in capfd.readouterr().err
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not callback_errors._listening


@pytest.mark.slow
def test_a_callback_that_returns_another_shape_is_told_so():
    with pytest.raises(ModelError, match=r"function that the model calls.*Actual: \(3,\).*decl"):
        run(Called(1, np.zeros(3, np.float32)))


def loops(x):
    return -jax.lax.while_loop(lambda c: c < 10, lambda c: c * 2, jnp.abs(x) + 1)


@pytest.mark.parametrize("kind", ["callback", "loop"])
def test_what_has_no_gradient_asks_for_another_explorer(kind):
    model = Called(10**6).model if kind == "callback" else None

    def looping():
        numpyro.factor("f", loops(numpyro.sample("x", dist.Normal(0, 1))))

    path = as_path(model or looping)
    x = jax.ShapeDtypeStruct((1,), path.dtype)
    with pytest.raises(ModelError, match=r"likelihood has no gradient.*use .*SliceSampler\(\)"):
        jax.eval_shape(make_evaluate(path, with_gradients=True), x)
    jax.eval_shape(make_evaluate(path, with_gradients=False), x)
