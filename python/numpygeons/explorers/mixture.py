"""Approximates the density of each chain by a mixture of normals, fitted between rounds.

One scale per coordinate cannot serve a density that is narrow here and wide there: a funnel, a
bent ridge, modes far apart. A mixture knows more. Its components are regions, each with its own
mean and covariance, and its draws are proposals that ask nothing of the current state.

A mixture is fitted to states recorded in the round at all chains, reweighted to its chain
(`cpp/numpygeons/tuning/tempered_sample`, `cpp/numpygeons/math/normal_mixture`), and stays the same
for the next round. `hmc` says why what is done with it is exact, `hmc_tuning` which chains do it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from numpygeons._core import tuning as core
from numpygeons._core.math import fit_normal_mixture
from numpygeons.arrays import Array, Floats
from numpygeons.explorers.base import RoundOutcome
from numpygeons.explorers.tables import Table

N_POINTS = 512  # states that a mixture is fitted to
N_STEPS = 20  # of expectation maximisation
LEAST_SIZE = 300  # Kish size of the weights of the states, below which they are flattened
ABSENT = -1e9  # log weight of a component that is not there
VALLEY = np.exp(-4.0)  # of the density between two modes; that of two normals 6 deviations apart
LEAST_MODE = 0.01  # weight of a mode that counts
N_STOPS = 9  # places between two means where the density is looked at


class Mixtures(NamedTuple):
    """One row per chain: K components in dimension d."""

    log_weights: Table  # shape (n_chains, K)
    log_heights: Table  # shape (n_chains, K): log weight - log det of the factor
    means: Table  # shape (n_chains, K, d), unconstrained units
    factors: Table  # shape (n_chains, K, d, d): lower triangular, covariance = factor factor'
    centres: Table  # shape (n_chains, d): subtracted first, so that little cancels
    whiteners: Table  # shape (n_chains, d, K d): inverse factors side by side, transposed
    offsets: Table  # shape (n_chains, K d): the means - centre, whitened

    def proposals(self, counts: Any, n_most: int) -> core.Proposals:
        """Hand out `counts` draws per scan, shape (n_chains,), at most `n_most`."""
        return core.Proposals(
            log_weights=self.log_weights.rows,
            means=self.means.rows,
            factors=self.factors.rows,
            counts=counts,
            n_most=n_most,
        )


def _mixtures(log_weights: Floats, means: Floats, factors: Floats, inverses: Floats) -> Mixtures:
    n, n_components, dimension = means.shape
    width = n_components * dimension
    diagonals = np.diagonal(factors, axis1=-2, axis2=-1)
    weights = np.exp(log_weights)[:, :, None]
    centres = np.sum(weights * means, axis=1) / np.sum(weights, axis=1)
    gaps = means - centres[:, None]
    whiteners = inverses.reshape(n, width, dimension).swapaxes(1, 2)
    return Mixtures(
        log_weights=Table(log_weights),
        log_heights=Table(log_weights - np.log(diagonals).sum(axis=-1)),
        means=Table(means),
        factors=Table(factors),
        centres=Table(centres),
        whiteners=Table(np.ascontiguousarray(whiteners)),
        offsets=Table(np.einsum("nkij,nkj->nki", inverses, gaps).reshape(n, width)),
    )


def single_normals(centres: Floats, scales: Floats, n_components: int) -> Mixtures:
    """Return one normal per chain, without correlation; all other components are absent.

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


def fitted_mixtures(
    outcome: RoundOutcome, scales: Floats, n_components: int, *, target_alone: bool = False
) -> Mixtures:
    """Return a mixture for each chain of `outcome.new_betas`, fitted to the states of all old
    chains.

    A state of any chain counts at the new beta with its weight in the mixture of all chains, so
    that a chain learns from its neighbours, and the schedule may move. Chains at beta = 0 are not
    explored; they get a normal of the deviations `scales`, shape (n_chains, dimension), and so do
    all but the last with `target_alone`.
    """
    snapshots = outcome.snapshots
    assert snapshots is not None
    explored = outcome.betas > 0
    x = snapshots.x[:, explored].reshape(-1, scales.shape[1])
    v = snapshots.v[:, explored].ravel()
    rows = single_normals(outcome.means, scales, n_components)
    log_weights, means, factors = (
        table.rows for table in (rows.log_weights, rows.means, rows.factors)
    )
    inverses: Floats = np.asarray(np.linalg.inv(factors), np.float64)
    all_chains = outcome.betas[explored], snapshots.log_z[explored]
    log_mixture = core.log_mixture(v, *all_chains)
    least = min(LEAST_SIZE, len(x) / n_components)
    for chain, beta in enumerate(outcome.new_betas):
        if beta > 0 and (chain == len(scales) - 1 or not target_alone):
            chosen = core.tempered_sample(v, log_mixture, beta, N_POINTS, least)
            log_weights[chain], means[chain], factors[chain], inverses[chain] = fit_normal_mixture(
                x[chosen], n_components, N_STEPS
            )
    return _mixtures(log_weights, means, factors, inverses)


def of_target(mixtures: Mixtures) -> Mixtures:
    """Return the last chain's row alone."""
    return Mixtures(*(Table(table.rows[-1:]) for table in mixtures))


def has_modes_apart(mixtures: Mixtures) -> npt.NDArray[np.bool_]:
    """Return whether each chain's mixture has modes with a deep valley between them, shape
    (n_chains,).

    Two components belong to one mode when the mixture's density, all the way from one mean to the
    other, stays above `VALLEY` times the smaller of its values there; and when both belong with a
    third. Modes of less weight than `LEAST_MODE` do not count.
    """
    log_weights, means, factors = (
        np.asarray(table.rows, np.float64)
        for table in (mixtures.log_weights, mixtures.means, mixtures.factors)
    )
    n_chains, n_components, _ = means.shape
    shares = np.linspace(0, 1, N_STOPS)[:, None, None]
    apart = np.zeros(n_chains, bool)
    for c in range(n_chains):
        inverses = np.linalg.inv(factors[c])
        heights = log_weights[c] + np.log(np.diagonal(inverses, axis1=1, axis2=2)).sum(axis=1)
        pairs = np.stack(np.triu_indices(n_components, 1), axis=1)
        ends = means[c][pairs]  # shape (n_pairs, 2, dimension)
        x = (1 - shares) * ends[:, 0] + shares * ends[:, 1]
        gaps = x[:, :, None] - means[c]
        white = np.einsum("kij,spkj->spki", inverses, gaps)
        parts = heights - 0.5 * np.sum(white**2, axis=-1)
        highest = np.max(parts, axis=-1)
        log_q = highest + np.log(np.sum(np.exp(parts - highest[..., None]), axis=-1))
        drop = np.minimum(log_q[0], log_q[-1]) - np.min(log_q, axis=0)
        mode = np.arange(n_components)  # of each component: its first member
        for i, j in pairs[drop < -np.log(VALLEY)]:
            mode[mode == mode[j]] = mode[i]
        weights = np.bincount(mode, np.exp(log_weights[c]), n_components)
        apart[c] = np.sum(weights > LEAST_MODE * np.sum(weights)) > 1
    return apart


def log_parts(row: Any, x: Array) -> Array:
    """Return the log of weight times density of each component at x, up to one constant; shape
    (K,).

    `row` holds the rows of one chain, of `Mixtures`.
    """
    heights, dimension = row.log_heights[:], len(x)
    white = (x - row.centres[:]) @ row.whiteners[:] - row.offsets[:]
    white = white.reshape(len(heights), dimension)
    squares: Array = (white * white) @ jnp.ones(dimension, x.dtype)
    parts: Array = heights - 0.5 * squares
    return parts


def region_of(row: Any, x: Array, uniform: Array) -> tuple[Array, Array, Array]:
    """Return (log q(x), log of a component's share of q(x), the component), drawn with that
    share."""
    parts = log_parts(row, x)
    total, component = log_total(parts), pick(parts, uniform)
    return total, parts[component] - total, component


def log_total(parts: Array) -> Array:
    """Return the log of the sum of the exponentials; scalar."""
    highest = jnp.max(parts)
    return highest + jnp.log(jnp.sum(jnp.exp(parts - highest)))


def pick(log_weights: Array, uniform: Array) -> Array:
    """Return the index of a component, picked with its weight, by inversion; the weights need no
    norm."""
    n = len(log_weights)
    lower = jnp.asarray(np.tril(np.ones((n, n))), log_weights.dtype)
    cumulative = lower @ jnp.exp(log_weights - jnp.max(log_weights))
    below = jnp.sum(cumulative < uniform * cumulative[-1], dtype=jnp.int32)
    return jnp.minimum(below, n - 1)
