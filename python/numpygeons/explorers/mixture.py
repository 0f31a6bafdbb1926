"""Approximates the density of each chain by a mixture of normals, fitted between rounds.

One scale per coordinate cannot serve a density that is narrow here and wide there: a funnel, a
bent ridge, modes far apart. A mixture knows more. Its components are regions, each with its own
mean and covariance, and its draws are proposals that ask nothing of the current state.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from numpygeons import _core
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import RoundOutcome

N_POINTS = 512  # states that a mixture is fitted to
N_STEPS = 20  # of expectation maximisation
LEAST_SIZE = 300  # Kish size of the weights of the states, below which they are flattened
ABSENT = -1e9  # log weight of a component that is not there


class Mixtures(NamedTuple):
    """One row per chain: K components in dimension d."""

    log_weights: Floats  # shape (n_chains, K)
    log_heights: Floats  # shape (n_chains, K): log weight - log det of the factor
    means: Floats  # shape (n_chains, K, d), unconstrained units
    factors: Floats  # shape (n_chains, K, d, d): covariance = factor factor'
    whiteners: Floats  # shape (n_chains, d, K d): inverse factors side by side, transposed
    offsets: Floats  # shape (n_chains, K d): the means, whitened


def _mixtures(log_weights: Floats, means: Floats, factors: Floats, inverses: Floats) -> Mixtures:
    n, n_components, dimension = means.shape
    width = n_components * dimension
    diagonals = np.diagonal(factors, axis1=-2, axis2=-1)
    return Mixtures(
        log_weights=log_weights,
        log_heights=log_weights - np.log(diagonals).sum(axis=-1),
        means=means,
        factors=factors,
        whiteners=np.ascontiguousarray(inverses.reshape(n, width, dimension).swapaxes(1, 2)),
        offsets=np.einsum("nkij,nkj->nki", inverses, means).reshape(n, width),
    )


def single_normals(centres: Floats, scales: Floats, n_components: int) -> Mixtures:
    """One normal per chain, without correlation; all other components are absent.

    Both arguments have shape (n_chains, dimension).
    """
    n, dimension = scales.shape
    log_weights = np.full((n, n_components), ABSENT)
    log_weights[:, 0] = 0.0
    identity = np.eye(dimension)

    def repeated(rows: Floats) -> Floats:
        return np.repeat(rows[:, None], n_components, axis=1)

    return _mixtures(
        log_weights,
        repeated(centres),
        repeated(scales[:, :, None] * identity),
        repeated(identity / scales[:, :, None]),
    )


def fitted_mixtures(outcome: RoundOutcome, scales: Floats, n_components: int) -> Mixtures:
    """A mixture for each chain of `outcome.new_betas`, fitted to the states of all old chains.

    A state of any chain counts at the new beta with its weight in the mixture of all chains, so
    that a chain learns from its neighbours, and the schedule may move. Chains at beta = 0 are not
    explored; they get a normal of the deviations `scales`, shape (n_chains, dimension).
    """
    snapshots = outcome.snapshots
    assert snapshots is not None
    explored = outcome.betas > 0
    x = snapshots.x[:, explored].reshape(-1, scales.shape[1])
    v = snapshots.v[:, explored].ravel()
    rows = single_normals(outcome.means, scales, n_components)
    log_weights, means = rows.log_weights, rows.means
    factors = rows.factors
    inverses: Floats = np.asarray(np.linalg.inv(factors), np.float64)
    least = min(LEAST_SIZE, len(x) / n_components)
    for chain, beta in enumerate(outcome.new_betas):
        if beta > 0:
            chosen = _core.engine.tempered_sample(
                v.reshape(-1, explored.sum()),
                outcome.betas[explored],
                snapshots.log_z[explored],
                beta,
                N_POINTS,
                least,
            )
            log_weights[chain], means[chain], factors[chain], inverses[chain] = (
                _core.engine.fit_normal_mixture(x[chosen], n_components, N_STEPS)
            )
    return _mixtures(log_weights, means, factors, inverses)


def log_parts(row: Mixtures, x: Array) -> Array:
    """Log of weight times density of each component at x, up to one constant; shape (K,)."""
    n_components, dimension = row.means.shape
    white = (x @ row.whiteners - row.offsets).reshape(n_components, dimension)
    squares: Array = (white * white) @ jnp.ones(dimension, x.dtype)
    return jnp.asarray(row.log_heights) - 0.5 * squares


def log_total(parts: Array) -> Array:
    """Log of the sum of the exponentials; scalar."""
    highest = jnp.max(parts)
    return highest + jnp.log(jnp.sum(jnp.exp(parts - highest)))


def pick(log_weights: Array, uniform: Array) -> Array:
    """Index of a component, picked with its weight, by inversion; the weights need no norm."""
    n = len(log_weights)
    lower = jnp.asarray(np.tril(np.ones((n, n))), log_weights.dtype)
    cumulative = lower @ jnp.exp(log_weights - jnp.max(log_weights))
    below = jnp.sum((cumulative < uniform * cumulative[-1]).astype(jnp.int32))
    return jnp.minimum(below, n - 1)
