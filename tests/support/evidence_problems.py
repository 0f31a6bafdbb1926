"""Problems with known log Z, and ways to draw the matrices that a round leaves behind."""

import numpy as np
from scipy.special import betaln, digamma, gammaln

COIN_TOSSES, COIN_HEADS = 100, 50


def shuffled_replicas(rng, n, n_chains):
    """Labels without any dynamics, for tests of arithmetic."""
    return rng.permuted(np.tile(np.arange(n_chains, dtype=np.uint32), (n, 1)), axis=1)


def normal_round(n, n_chains, seed):
    """V, replicas and schedule of a normal prior and likelihood in three dimensions."""
    rng = np.random.default_rng(seed)
    betas = np.linspace(0, 1, n_chains) ** 2
    precision = 1 + 4 * betas
    x = 8 * betas / precision + rng.standard_normal((n, 3, n_chains)) / np.sqrt(precision)
    x[1:] = 0.6 * x[1:] + 0.4 * x[:-1]  # some memory from scan to scan
    return -2 * ((x - 2) ** 2).sum(1), shuffled_replicas(rng, n, n_chains), betas


def coin_log_z(beta=1.0):
    """log Z(beta) of the coin with two unidentifiable factors."""
    n, y = COIN_TOSSES, COIN_HEADS
    log_binomial = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
    a, b = beta * y + 1, beta * (n - y) + 1
    return beta * log_binomial + betaln(a, b) + np.log(digamma(a + b) - digamma(a))


def coin_draws(rng, betas, shape):
    """Independent V at each beta, shape (*shape, n_chains), by inversion on a grid of u = p1 p2."""
    n, y = COIN_TOSSES, COIN_HEADS
    edges = np.linspace(0, 1, 40001)
    u = (edges[1:] + edges[:-1]) / 2
    log_binomial = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)

    def log_likelihood(u):
        return log_binomial + y * np.log(u) + (n - y) * np.log1p(-u)

    v = np.empty((*shape, len(betas)))
    for i, beta in enumerate(betas):
        density = np.exp(np.log(-np.log(u)) + beta * (log_likelihood(u) - log_likelihood(0.5)))
        cumulative = np.concatenate([[0], np.cumsum(density)])
        v[..., i] = log_likelihood(np.interp(rng.random(shape), cumulative / cumulative[-1], edges))
    return v


def swap(rng, scan, delta, v, *carried):
    """One even-odd swap of many runs at once, in place; v and carried are (n_runs, n_chains)."""
    first = scan % 2
    low, high = v[:, first:-1:2], v[:, first + 1 :: 2]
    low = low[:, : high.shape[1]]
    accept = np.log(rng.random(low.shape)) < delta[first::2] * (low - high)
    for x in (v, *carried):
        below, above = x[:, first:-1:2][:, : accept.shape[1]], x[:, first + 1 :: 2]
        held = below.copy()
        np.copyto(below, above, where=accept)
        np.copyto(above, held, where=accept)


def sticky_coin_rounds(n_runs, n, betas, stay, seed):
    """V and replicas, (n_runs, n, n_chains): a state stays where it is with probability `stay`.

    Otherwise it is drawn afresh at its chain's beta; chain 0 always is.
    """
    rng = np.random.default_rng(seed)
    n_chains = len(betas)
    v = np.empty((n_runs, n, n_chains))
    replicas = np.empty((n_runs, n, n_chains), np.uint32)
    now = coin_draws(rng, betas, (n_runs,))
    who = np.tile(np.arange(n_chains, dtype=np.uint32), (n_runs, 1))
    fresh = coin_draws(rng, betas, (n, n_runs))
    for scan in range(n):
        moves = rng.random(now.shape) >= stay
        moves[:, 0] = True
        now = np.where(moves, fresh[scan], now)
        v[:, scan], replicas[:, scan] = now, who
        swap(rng, scan, np.diff(betas), now, who)
    return v, replicas


class RareMode:
    """Two normal modes of V that only the reference connects; the rare one holds much of Z(1).

    Under the reference V is N(mean, sd^2) within a mode, so at beta it is N(mean + beta sd^2, sd^2)
    and the mode has mass weight * exp(beta mean + beta^2 sd^2 / 2).
    """

    weights = np.array([0.997, 0.003])
    means = np.array([-30.0, -24.0])
    sds = np.array([3.0, 3.0])
    betas = np.linspace(0, 1, 8)

    def log_masses(self, beta):
        return np.log(self.weights) + beta * self.means + beta**2 * self.sds**2 / 2

    def log_z(self):
        return np.logaddexp(*self.log_masses(1.0))

    def rounds(self, n_runs, n, seed):
        """V and replicas, (n_runs, n, n_chains); V moves freely within a mode."""
        rng = np.random.default_rng(seed)
        n_chains = len(self.betas)
        v = np.empty((n_runs, n, n_chains))
        replicas = np.empty((n_runs, n, n_chains), np.uint32)
        mode = np.zeros((n_runs, n_chains), int)
        who = np.tile(np.arange(n_chains, dtype=np.uint32), (n_runs, 1))
        for scan in range(n):
            mode[:, 0] = rng.random(n_runs) < self.weights[1]
            sd = self.sds[mode]
            now = self.means[mode] + self.betas * sd**2 + sd * rng.standard_normal(mode.shape)
            v[:, scan], replicas[:, scan] = now, who
            swap(rng, scan, np.diff(self.betas), now, mode, who)
        return v, replicas
