"""The evidence formulas once more, in plain NumPy and without any care for speed.

Written from the formulas, not from the C++ bodies: per-scan loops and full arrays instead of
blocks, ``scipy.optimize`` instead of hand-made Newton steps where that gives the same root.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logsumexp

FLOOR = -1e300

# How far a round may be from the root of MBAR's equations: its steps end after one of 1e-3, of
# which about the square is left in f, and the Hessian of the errors is of where that step began.
IN_F, IN_VARIANCE = 1e-6, 5e-3


def tempered(v, betas):
    """beta_k V for each element of v, shape v.shape + (len(betas),); 0 * -inf = 0."""
    return np.maximum(v, FLOOR)[..., None] * np.asarray(betas)


def stepping_stone(v, betas):
    """Forward and backward log ratio of each pair."""
    delta = np.diff(betas)
    v = np.maximum(v, FLOOR)
    log_n = np.log(len(v))
    forward = logsumexp(delta * v[:, :-1], axis=0) - log_n
    backward = log_n - logsumexp(-delta * v[:, 1:], axis=0)
    return forward, backward


def bennett(v, betas):
    """Log ratio and overlap of each pair, the root found by Brent's method."""
    v = np.maximum(v, FLOOR)
    ratios, overlaps = [], []
    for i, delta in enumerate(np.diff(betas)):
        low, high = delta * v[:, i], delta * v[:, i + 1]

        def excess(c, low=low, high=high):
            return expit(low - c).sum() - expit(c - high).sum()

        middle = sum(x[i] for x in stepping_stone(v, betas)) / 2
        half = 50.0
        while excess(middle - half) <= 0 or excess(middle + half) >= 0:
            half *= 2
        c = brentq(excess, middle - half, middle + half, xtol=1e-14, rtol=1e-15)
        p, q = expit(low - c), expit(c - high)
        ratios.append(c)
        overlaps.append(np.mean(p * (1 - p) + q * (1 - q)))
    return np.array(ratios), np.array(overlaps)


def memberships(v, betas, f, a):
    """p_k(V[s, i]), shape (n_scans, n_chains, n_chains)."""
    x = f + np.log(a) + tempered(v, betas)
    return np.exp(x - logsumexp(x, axis=-1, keepdims=True))


def hessian_and_sums(v, betas, f, a):
    """Jacobian of the mean of S, and S by scan, shape (n_scans, n_chains)."""
    p = memberships(v, betas, f, a)
    sums = np.einsum("i,sik->sk", a, p)
    products = np.einsum("i,sik,sil->kl", a, p, p) / len(v)
    return np.diag(sums.mean(0)) - products, sums


def mbar(v, betas, f, a, n_steps):
    """f after Newton steps, and the influence on log Z by scan and chain."""
    f = np.array(f, float)
    for _ in range(n_steps):
        h, sums = hessian_and_sums(v, betas, f, a)
        f[1:] -= np.clip(np.linalg.solve(h[1:, 1:], (sums.mean(0) - a)[1:]), -5, 5)
    return f, influence(v, betas, f, a, len(betas) - 1)


def influence(v, betas, f, a, chain, hessian_at=None):
    """Influence on log Z at `chain` by scan and chain, centred over scans."""
    h, _ = hessian_and_sums(v, betas, f if hessian_at is None else hessian_at, a)
    unit = np.eye(len(betas))[chain, 1:]
    psi = (a[:, None] * memberships(v, betas, f, a))[:, :, 1:] @ np.linalg.solve(h[1:, 1:], unit)
    return psi - psi.mean(0)


def long_run_variance(x):
    """Variance of sqrt(n) mean(x), its degrees of freedom, and the plain variance."""
    n = len(x)
    x = np.asarray(x, float) - np.mean(x)
    gamma = [x[: n - lag] @ x[lag:] / n for lag in range(n)]
    falling = []
    for m in range(n // 2):
        pair = gamma[2 * m] + gamma[2 * m + 1]
        if pair <= 0:
            break
        falling.append(min([pair, *falling[-1:]]))
    n_lags = 4 * max(len(falling), 1) - 1
    truncated = max(2 * sum(falling) - gamma[0], gamma[0] / 1000)
    return truncated * n / max(n - n_lags, n / 4), max(n / n_lags, 1.0), gamma[0]


def tour_variance(psi, replicas):
    """Variance by tours and the effective number of tours, replica by replica."""
    totals = []
    for replica in range(psi.shape[1]):
        total = 0.0
        for scan, chain in enumerate(np.argmax(replicas == replica, axis=1)):
            if chain == 0:
                totals.append(total)
                total = 0.0
            total += psi[scan, chain]
        totals.append(total)
    squares = np.square(totals)
    return squares.sum() / len(psi), squares.sum() ** 2 / np.square(squares).sum()


def error(psi, replicas):
    """Variance of log Z, degrees of freedom, effective tours, ratio of the two errors."""
    v, dof, _ = long_run_variance(psi.sum(1))
    by_tours, tours = tour_variance(psi, replicas)
    ratio = np.sqrt(by_tours / v)
    if by_tours > v:
        v, dof = by_tours, max(tours, 1.0)
    return v / len(psi), dof, tours, ratio


def fit(v, betas, iid=True):
    """(f, a) as a round settles on them."""
    c, _ = bennett(v, betas)
    ones = np.ones(len(betas))
    start = np.concatenate([[0], -np.cumsum(c)])
    f, _ = mbar(v, betas, start, ones, 1)
    psi = influence(v, betas, f, ones, len(betas) - 1, hessian_at=start)
    a = ones.copy()
    if iid:
        variance, _, plain = long_run_variance(psi.sum(1))
        a[0] = np.clip(variance / plain, 1, 5)
    return fit_with(v, betas, a[0]), a


def fit_with(v, betas, weight):
    """f where the reference has this weight."""
    a = np.r_[weight, np.ones(len(betas) - 1)]
    return mbar(v, betas, np.r_[0, -np.cumsum(bennett(v, betas)[0])], a, 14)[0]


def round_evidence(v, replicas, betas, iid=True):
    """(log Z, variance, dof, effective tours, ratio) of a round whose chains overlap."""
    f, a = fit(v, betas, iid)
    return (-f[-1], *error(influence(v, betas, f, a, len(betas) - 1), replicas))


def curve_point(v, betas, f, a, beta):
    """log Z(beta) and its influence by scan and chain, centred over scans."""
    h, _ = hessian_and_sums(v, betas, f, a)
    log_w = tempered(v, [beta])[..., 0] - logsumexp(f + np.log(a) + tempered(v, betas), axis=-1)
    log_w = log_w + np.log(a)
    log_z = logsumexp(log_w) - np.log(len(v))
    p = np.exp(log_w - log_z)
    member = memberships(v, betas, f, a)
    omega = np.einsum("si,sik->k", p, member) / len(v)
    passed_on = np.linalg.solve(h[1:, 1:], omega[1:])
    psi = p + a * (member[:, :, 1:] @ passed_on)
    return log_z, psi - psi.mean(0)


def pool(rounds):
    """(log Z, variance, dof) by numbers of scans; rounds are (n_scans, log Z, variance, dof)."""
    n, e, v, dof = np.array(rounds, float).T
    w = n / n.sum()
    parts = w**2 * v
    return w @ e, parts.sum(), parts.sum() ** 2 / (parts**2 / dof).sum()


def swap_statistics(v, betas):
    """Acceptance by pair with its variance, and the sum of rejections with its variance."""
    v = np.maximum(v, FLOOR)
    alpha = np.exp(np.minimum(np.diff(betas) * (v[:, :-1] - v[:, 1:]), 0))
    variances = [long_run_variance(x)[0] / len(v) for x in alpha.T]
    rejections = (1 - alpha).sum(1)
    return alpha.mean(0), variances, rejections.mean(), long_run_variance(rejections)[0] / len(v)
