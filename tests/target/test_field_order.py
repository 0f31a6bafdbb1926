"""Traced models do not depend on Python's hash seed, and NumPyro stays as it is elsewhere."""

import subprocess
import sys
import threading

import jax
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import Distribution
from scipy import stats

from numpygeons.target.model.field_order import MARK, ordered_fields
from support import environment

TRACED = """
import hashlib, jax, jax.numpy as jnp, numpyro, numpyro.distributions as dist
from numpyro.contrib.control_flow import scan
from numpygeons.target.path import as_path

def model(y):
    scale = numpyro.sample("scale", dist.HalfCauchy(1))
    def step(level, y):
        level = numpyro.sample("level", dist.Normal(level, scale))
        numpyro.sample("y", dist.StudentT(4, level, scale), obs=y)
        return level, None
    scan(step, 0.0, y)

path = as_path(model, (jnp.arange(5.0),))
x = jnp.zeros(path.dimension)
key = jax.random.key(0)
traced = jax.make_jaxpr(path.log_pair)(x), jax.make_jaxpr(path.sample_reference)(key)
print(hashlib.sha256(repr(traced).encode()).hexdigest())
"""


def test_a_model_is_the_same_program_whatever_the_hash_seed():
    """NumPyro's order of fields differs between two of three seeds."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRACED],
            env=environment(PYTHONHASHSEED=seed, JAX_PLATFORMS="cpu"),
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in "0123"
    ]
    found = [process.communicate(timeout=120)[0] for process in processes]
    assert len(found[0]) > 60
    assert len(set(found)) == 1


def fields():
    return dist.StudentT.gather_pytree_data_fields(), dist.StudentT.gather_pytree_aux_fields()


def test_fields_are_in_order_inside_and_in_this_thread_alone():
    before = fields()
    with ordered_fields():
        data, (*aux, mark) = fields()
        assert list(data) == sorted(before[0])
        assert (aux, mark) == (sorted(before[1]), MARK)
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(fields()))
        thread.start()
        thread.join()
        assert elsewhere == [before]
        with ordered_fields():
            pass
        assert fields()[0] == data
    assert fields() == before


def test_what_was_compiled_outside_is_not_taken_inside(monkeypatch):
    """In another order the fields of a distribution would change places."""
    with ordered_fields():
        pass
    put_in_place_of_numpyros(monkeypatch, "gather_pytree_data_fields", reverse=True)
    put_in_place_of_numpyros(monkeypatch, "gather_pytree_aux_fields", reverse=False)
    density = jax.jit(lambda d, x: d.log_prob(x))
    one, exact = dist.Normal(1.0, 2.0), stats.norm.logpdf(0.5, 1, 2)
    np.testing.assert_allclose(density(one, 0.5), exact, rtol=1e-6)
    with ordered_fields():
        np.testing.assert_allclose(density(one, 0.5), exact, rtol=1e-6)
    np.testing.assert_allclose(density(one, 0.5), exact, rtol=1e-6)


def put_in_place_of_numpyros(monkeypatch, name, *, reverse):
    """An order that a hash seed may bring about."""
    asked = Distribution.__dict__[name].__func__
    original = asked.__wrapped__
    cell = asked.__closure__[asked.__code__.co_freevars.index("original")]
    monkeypatch.setattr(
        cell, "cell_contents", lambda cls: tuple(sorted(original(cls), reverse=reverse))
    )
