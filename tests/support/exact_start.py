"""Densities that can be drawn exactly at every beta, and the test that an explorer keeps them.

Independent copies start from the density of a chain and are explored a few times. Whatever the
number of explorations, the copies must still follow that density. It is held in the form of a
map to independent uniforms, so that every coordinate, given those before it, is tested.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special, stats

from numpygeons.explorers.base import Noise, Proposals
from numpygeons.target.potential import make_evaluate

THRESHOLD = 1e-6  # a test fails below it
N_COPIES = 40_000


class Normal:
    """A correlated prior and two observations: pi_beta is normal at every beta."""

    dimension = 2
    precision = np.array([[1.0, 0.6], [0.6, 0.5]])
    noise, y = np.array([0.5, 2.0]), np.array([1.0, -2.0])
    scale, step = (0.5, 1.0), 1.0

    def log_reference(self, x):
        return -0.5 * x @ jnp.asarray(self.precision, x.dtype) @ x

    def v(self, x):
        residual = (x - jnp.asarray(self.y, x.dtype)) / jnp.asarray(self.noise, x.dtype)
        return -0.5 * jnp.sum(residual**2)

    def _moments(self, beta):
        weights = beta / self.noise**2
        covariance = np.linalg.inv(self.precision + np.diag(weights))
        return covariance @ (weights * self.y), np.linalg.cholesky(covariance)

    def draw(self, rng, beta, n):
        mean, factor = self._moments(beta)
        return mean + rng.standard_normal((n, 2)) @ factor.T

    def scores(self, x, beta):
        mean, factor = self._moments(beta)
        return np.linalg.solve(factor, (x - mean).T).T


class SkewedAndHeavy:
    """The logarithm of a gamma variable, and a Student variable whose tails grow as beta falls."""

    dimension = 2
    scale, step = (0.8, 1.2), 0.5

    def log_reference(self, x):
        return 0.6 * x[0] - jnp.exp(x[0]) - jnp.log1p(x[1] ** 2)

    def v(self, x):
        return 1.4 * x[0] - 2.0 * jnp.exp(x[0]) - 1.5 * jnp.log1p(x[1] ** 2)

    def _laws(self, beta):
        dof = 1 + 3 * beta
        gamma = stats.gamma(0.6 + 1.4 * beta, scale=1 / (1 + 2 * beta))
        return gamma, stats.t(dof, scale=1 / np.sqrt(dof))

    def draw(self, rng, beta, n):
        gamma, student = self._laws(beta)
        return np.stack(
            [np.log(gamma.rvs(n, random_state=rng)), student.rvs(n, random_state=rng)], axis=1
        )

    def scores(self, x, beta):
        gamma, student = self._laws(beta)
        first = _normal_scores(gamma.cdf(np.exp(x[:, 0])), gamma.sf(np.exp(x[:, 0])))
        return np.stack([first, _normal_scores(student.cdf(x[:, 1]), student.sf(x[:, 1]))], axis=1)


class Funnel:
    """The second coordinate's scale is the exponential of the first, which beta shifts."""

    dimension = 2
    scale, step = (1.0, 1.0), 0.5

    def log_reference(self, x):
        return -0.5 * x[0] ** 2 - x[0] - 0.5 * (x[1] * jnp.exp(-x[0])) ** 2

    def v(self, x):
        return 0.7 * x[0] - 1.5 * (x[1] * jnp.exp(-x[0])) ** 2

    def draw(self, rng, beta, n):
        z = rng.standard_normal((n, 2))
        first = 0.7 * beta + z[:, 0]
        return np.stack([first, z[:, 1] * np.exp(first) / np.sqrt(1 + 3 * beta)], axis=1)

    def scores(self, x, beta):
        inner = x[:, 1] * np.exp(-x[:, 0]) * np.sqrt(1 + 3 * beta)
        return np.stack([x[:, 0] - 0.7 * beta, inner], axis=1)


class Everything:
    """The three above side by side: correlated, skewed, heavy-tailed, and a funnel."""

    parts = (Normal(), SkewedAndHeavy(), Funnel())
    dimension = 6
    scale = tuple(s for part in parts for s in part.scale)
    step = 0.6

    def _cut(self, x):
        return zip(self.parts, (x[..., 0:2], x[..., 2:4], x[..., 4:6]), strict=True)

    def log_reference(self, x):
        return sum(part.log_reference(own) for part, own in self._cut(x))

    def v(self, x):
        return sum(part.v(own) for part, own in self._cut(x))

    def draw(self, rng, beta, n):
        return np.concatenate([part.draw(rng, beta, n) for part in self.parts], axis=1)

    def scores(self, x, beta):
        return np.concatenate([part.scores(own, beta) for part, own in self._cut(x)], axis=1)


class HalfExcluded:
    """A normal prior; the likelihood is `outside` (-inf or NaN) below 0, and tilts above it."""

    dimension = 1
    scale, step = (1.0,), 0.8

    def __init__(self, outside):
        self.outside = outside

    def log_reference(self, x):
        return -0.5 * x[0] ** 2

    def v(self, x):
        return jnp.where(x[0] > 0, 1.5 * x[0], self.outside)

    def draw(self, rng, beta, n):
        shift = 1.5 * beta
        tail = special.ndtr(shift) * rng.uniform(size=n)  # of the normal above 0
        return (shift - special.ndtri(tail))[:, None]

    def scores(self, x, beta):
        shift = 1.5 * beta
        above = special.ndtr(shift - x) / special.ndtr(shift)
        return _normal_scores(1 - above, above)


@jax.custom_jvp
def _without_gradient(v):
    """`v`, with a derivative that is not a number."""
    return v


_without_gradient.defjvp(lambda v, dv: (v[0], jnp.nan * dv[0]))


class BrokenGradient(Funnel):
    """The funnel; on half of the plane the gradient of V is not a number, though V is finite."""

    def v(self, x):
        v = super().v(x)
        return jnp.where(x[0] > 0, v, _without_gradient(v))


def _normal_scores(below, above):
    return np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))


@cache
def _program(explorer, target, n_scans, dtype):
    """The compiled exploration of many copies: (x, beta, tuning, noise) to x, sums."""
    evaluate = make_evaluate(target, with_gradients=explorer.needs_gradients)

    def explore_copy(x, beta, tuning, *noise):
        def scan(state, noise):
            return explorer.explore(evaluate, state, beta, tuning, Noise(*noise))

        end, statistics = jax.lax.scan(scan, evaluate(x), noise)
        return end, statistics.mean(axis=0)

    copies = jax.vmap(explore_copy, in_axes=(0, 0, None, 0, 0, 0, 0))
    return jax.jit(copies, compiler_options={"xla_backend_optimization_level": 0})


@dataclass(frozen=True, kw_only=True)
class Explored:
    """Copies before and after."""

    before: np.ndarray
    after: np.ndarray
    state: Any
    statistics: dict[str, np.ndarray] = field(default_factory=dict)  # per copy, mean over scans


def proposals_from(tables, dimension, shape, dtype):
    """What the core hands out for `shape` explorations, each a scan of its own."""
    scans = range(1, 1 + int(np.prod(shape)))
    parts = [np.zeros((*shape, 0, dimension)), np.zeros((*shape, 0, 3)), np.zeros((*shape, 0))]
    for table in tables:
        rows = [table.draw(seed=5, round=1, scan=scan, chain=0) for scan in scans]
        for k, part in enumerate(zip(*rows, strict=True)):
            stacked = np.stack(part)
            parts[k] = np.concatenate([parts[k], stacked.reshape(*shape, *stacked.shape[1:])], 2)
    x, logs, components = parts
    return Proposals(x.astype(dtype), logs.astype(dtype), components.astype(np.int32))


def explored(explorer, target, beta, tuning, **settings):
    """Draws copies from pi_beta and explores each; `settings` as for `explored_at`."""
    (copies,) = explored_at(explorer, target, (beta,), tuning, **settings)
    return copies


def explored_at(
    explorer, target, betas, tuning, *, tables=(), dtype=np.float64, n_scans=3, n=N_COPIES, seed=1
):
    """For each beta, draws `n` copies from pi_beta and explores each `n_scans` times; all in one
    program, so that a further beta costs no compilation. `tables` are the core's proposals."""
    rng = np.random.default_rng([seed, round(1000 * sum(betas))])
    shape = explorer.noise(target.dimension)
    with jax.enable_x64(dtype == np.float64):
        before = np.concatenate([target.draw(rng, beta, n) for beta in betas]).astype(dtype)
        of_copy = np.repeat(np.asarray(betas, dtype), n)
        n *= len(betas)
        normals = rng.standard_normal((n, n_scans, shape.n_normals)).astype(dtype)
        uniforms = rng.uniform(size=(n, n_scans, shape.n_uniforms))
        uniforms = np.clip(uniforms, 2.0**-30, 1 - 2.0**-24).astype(dtype)
        words = 2 if shape.key else 0
        proposals = proposals_from(tables, target.dimension, (n, n_scans), dtype)
        keys = rng.integers(2**32, size=(n, n_scans, words), dtype=np.uint32)
        tuning = jax.tree.map(
            lambda a: np.asarray(a, np.int32 if np.asarray(a).dtype.kind == "i" else dtype), tuning
        )
        end, statistics = _program(explorer, target, n_scans, np.dtype(dtype))(
            before, of_copy, tuning, normals, uniforms, keys, proposals
        )
        everything = jax.tree.map(np.asarray, (before, end, statistics))
    found = []
    for i in range(len(betas)):
        rows = slice(i * n // len(betas), (i + 1) * n // len(betas))
        start, state, numbers = jax.tree.map(lambda a, rows=rows: a[rows], everything)
        found.append(
            Explored(
                before=start.astype(float),
                after=state.x.astype(float),
                state=state,
                statistics=dict(zip(explorer.statistics, numbers.astype(float).T, strict=True)),
            )
        )
    return found


def _p_of_mean(sample):
    """Two-sided p value of mean zero."""
    with np.errstate(over="ignore"):  # a mutant may move copies to where squares overflow
        deviation = sample.std(ddof=1)
    if deviation == 0:
        return 1.0
    return 2 * special.ndtr(-abs(sample.mean()) / deviation * np.sqrt(len(sample)))


def p_value(target, beta, copies):
    """Smallest of many p values, times their number: that the law has not changed.

    Of the normal scores z of every coordinate given those before it: Kolmogorov-Smirnov, and the
    means of z, z^2, |z| and of products, each against theory and against its start, copy by copy.
    """
    before, after = (target.scores(x, beta) for x in (copies.before, copies.after))
    p = [stats.kstest(column, "norm").pvalue for column in after.T]

    def features(z):
        columns = [*z.T, *(z.T**2 - 1), *(np.abs(z.T) - np.sqrt(2 / np.pi))]
        if z.shape[1] > 1:
            columns += [z[:, 0] * z[:, 1], (z[:, 0] ** 2 - 1) * (z[:, 1] ** 2 - 1)]
            columns += [z[:, 0] * (z[:, 1] ** 2 - 1)]
        return columns

    for start, end in zip(features(before), features(after), strict=True):
        p += [_p_of_mean(end), _p_of_mean(end - start)]
    return min(1.0, len(p) * float(np.min(np.nan_to_num(p, nan=0.0))))
