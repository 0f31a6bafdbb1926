"""Rounding that exceeds the error of log Z is measured; arithmetic that is fine enough is not."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.scipy.special import betainc, digamma, gammaln, logsumexp
from scipy import stats

from numpygeons import load, pigeons
from numpygeons.xla.double_precision import NotInDouble, in_double_precision
from support.small_models import coin, eight_schools

P_MIN = 1e-6
pytestmark = pytest.mark.filterwarnings("ignore:coarse arithmetic")


def run(model, *args, **settings):
    return pigeons(
        model, model_args=args, **{"n_rounds": 8, "n_chains": 6, "show_report": False, **settings}
    )


def four_probabilities():
    """V is a sum of terms of 3e8; log Z = -sum log(n + 1)."""
    p = numpyro.sample("p", dist.Beta(1, 1).expand([4]).to_event(1))
    n, k = jnp.array([2000, 2000, 20_000_000, 20_000_000]), jnp.array([200, 200, 10**7, 10**7])
    numpyro.sample("y", dist.Binomial(n, p).to_event(1), obs=k)


def mean_shift(pt, n, k, p):
    """By how much rounding moves V of a binomial model, on average; computed without JAX."""
    exact = stats.binom.logpmf(k, n, p).reshape(len(p), -1).sum(axis=1)
    return np.mean(pt.log_density["v"].astype(float) - exact)


def test_sums_of_large_terms_are_found_out_and_their_shift_is_known():
    exact = -2 * np.log(2001) - 2 * np.log(20_000_001)
    pt = run(four_probabilities, n_chains=10, n_rounds=9)
    last = pt.rounds[-1]
    n, k = [2000, 2000, 20_000_000, 20_000_000], [200, 200, 10**7, 10**7]
    shift = mean_shift(pt, n, k, pt.samples["p"].astype(float))
    assert shift > 10  # 82 with JAX 0.10, 18 with JAX 0.12
    assert last.coarse_shift == pytest.approx(shift, abs=0.5)
    assert last.coarseness == last.coarse_shift
    z = (pt.log_z - last.coarse_shift - exact) / pt.log_z_error
    assert 2 * stats.t.sf(abs(z), pt.log_z_dof) > P_MIN
    assert [record.coarseness for record in pt.rounds[:-1]] == [None] * (len(pt.rounds) - 1)


def test_a_hundredth_of_a_nat_is_seen():
    pt = run(coin, 100_000, 50_000)
    last, p = pt.rounds[-1], pt.samples["p1"].astype(float) * pt.samples["p2"]
    shift = mean_shift(pt, 100_000, 50_000, p)
    assert abs(shift) > 0.01  # -0.07 with JAX 0.10, 0.014 with JAX 0.12
    assert last.coarse_shift == pytest.approx(shift, abs=0.002)
    assert last.coarseness == abs(last.coarse_shift)


@pytest.mark.parametrize("settings", [{}, {"record": ()}], ids=["draws", "no draws"])
def test_fine_arithmetic_is_silent(settings):
    last = run(eight_schools, **settings).rounds[-1]
    assert 0 < last.coarseness < 1e-4
    assert abs(last.coarse_shift) <= last.coarseness


def test_double_precision_has_nothing_to_measure(x64):
    assert run(eight_schools, n_rounds=3).rounds[-1].coarseness is None


def test_what_was_measured_is_kept(tmp_path):
    pt = run(coin, 100_000, 50_000, n_rounds=3, checkpoint=tmp_path / "run")
    kept = load(tmp_path / "run").rounds[-1]
    assert kept.coarseness == pt.rounds[-1].coarseness > 0
    assert kept.coarse_shift == pt.rounds[-1].coarse_shift


def test_the_last_round_alone_holds_it_wherever_a_run_was_stopped_before():
    pt = run(coin, 100_000, 50_000, n_rounds=2).extend(2)
    assert [record.coarseness is None for record in pt.rounds] == [True, True, True, False]


def walked(x):
    def step(carry, row):
        level = 0.9 * carry + row
        return level, jnp.tanh(level)

    last, levels = jax.lax.scan(step, x[0], x, reverse=True)
    return last + levels @ jnp.arange(4.0)


def iterated(x):
    _, total = jax.lax.while_loop(
        lambda s: s[1] < 5, lambda s: (s[0] + 1, s[1] + jnp.exp(x[1])), (0, jnp.abs(x[0]))
    )
    return total


def chosen(x):
    small, large = (lambda x: jnp.sum(x**2)), (lambda x: jnp.sum(jnp.abs(x) ** 1.5))
    return jax.lax.cond(x[0] > 0, small, large, x) + jax.lax.switch(2, [jnp.sum] * 3, x)


def solved(x):
    root = jnp.linalg.cholesky(jnp.eye(4) + jnp.outer(x, x))
    return jnp.sum(jax.scipy.linalg.solve_triangular(root, x, lower=True))


INDEX = jnp.array([2, 0, 1, 3, 3])
FUNCTIONS = {
    "special": lambda x: jnp.sum(
        gammaln(jnp.exp(x)) + digamma(1 + x**2) + betainc(2.0, jnp.exp(x), jax.nn.sigmoid(x))
    ),
    "normal tails": lambda x: jnp.sum(
        jax.lax.erf(x) + jnp.log(jax.lax.erfc(x)) + jax.lax.erf_inv(jnp.tanh(x))
    ),
    "sums": lambda x: logsumexp(jnp.cumsum(x)[::-1]) + jnp.prod(x) - jnp.max(x) + jnp.argmax(x),
    "gathered": lambda x: jnp.sum(x[INDEX] * jnp.arange(5.0)) + jnp.sort(x)[2],
    "scattered": lambda x: jnp.sum(jnp.zeros(6).at[INDEX].add(x[INDEX]) ** 3),
    "pieces": lambda x: jnp.sum(jnp.concatenate([x[1:3], x[::2]]) / jnp.pad(x[:2], 1).sum()),
    "products": lambda x: jnp.einsum("ij,kj,k->", x.reshape(2, 2), jnp.ones((3, 2)), jnp.ones(3)),
    "rounded": lambda x: jnp.sum(jnp.floor(x) + jnp.round(3 * x) + (x > 0).astype(int) % 2),
    "where": lambda x: jnp.sum(jnp.where(x > 0, jnp.log1p(jnp.abs(x)), -jnp.expm1(x))),
    "scan": walked,
    "while": iterated,
    "cond": chosen,
    "linear algebra": solved,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_follows_a_traced_function_in_double_precision(name):
    x = np.array([[0.3, -1.2, 0.8, 2.1], [-0.4, 0.5, 1.7, -0.2]], np.float32)
    traced = jax.make_jaxpr(jax.vmap(FUNCTIONS[name]))(x)
    (got,) = in_double_precision(traced, x)
    assert got.dtype == np.float64
    with jax.enable_x64(True):
        wanted = jax.vmap(FUNCTIONS[name])(jnp.asarray(x, jnp.float64))
    np.testing.assert_allclose(got, wanted, rtol=2e-7 if name == "scan" else 1e-11)


def test_callbacks_and_endless_loops_are_not_followed():
    def called(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), jnp.float32), x)

    def endless(x):
        return jax.lax.fori_loop(0, 10**6, lambda _, y: 0.5 * y + 1, x)

    for function in (called, endless):
        with pytest.raises(NotInDouble):
            in_double_precision(jax.make_jaxpr(function)(np.float32(1)), np.float32(1))
