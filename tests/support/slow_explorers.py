"""Plain NumPy forms of the explorers' moves: one state, nothing cached, everything recomputed."""

from dataclasses import dataclass

import numpy as np


class Banana:
    """A 2-d density that is not normal, with gradients of log gamma_0 and V written by hand."""

    dimension = 2

    def log_reference(self, x):
        return -0.125 * x[0] ** 2 - 0.05 * x[1] ** 2

    def v(self, x):
        return -0.5 * (x[1] - 0.6 * x[0] ** 2) ** 2 - 0.25 * x[0] ** 4 + x[0]

    def log_density(self, x, beta):
        return self.log_reference(x) + beta * self.v(x)

    def gradient(self, x, beta):
        off = x[1] - 0.6 * x[0] ** 2
        reference = np.array([-0.25 * x[0], -0.1 * x[1]])
        return reference + beta * np.array([1.2 * x[0] * off - x[0] ** 3 + 1, -off])


def leapfrog(target, x, p, beta, step, scale, length=1):
    """`length` leapfrog steps in units of `scale`; the gradient is taken anew at both halves."""
    for _ in range(length):
        p = p + 0.5 * step * scale * target.gradient(x, beta)
        x = x + step * scale * p
        p = p + 0.5 * step * scale * target.gradient(x, beta)
    return x, p


def joint(target, x, p, beta):
    """Log joint density of position and momentum."""
    return target.log_density(x, beta) - 0.5 * np.sum(p**2)


@dataclass
class SlowStep:
    """One step of AutoMALA, with everything that the fast one may not forget."""

    x: np.ndarray  # the proposal
    p: np.ndarray  # before its flip
    difference: float
    exponent: int
    backward: int
    forward_trials: list  # exponents, in order
    backward_trials: list

    @property
    def n_gradients(self):
        return len(self.forward_trials) + len(self.backward_trials)

    @property
    def passed(self):
        return np.isfinite(self.difference) and self.backward == self.exponent

    @property
    def probability(self):
        return min(1.0, np.exp(self.difference)) if self.passed else 0.0


def _doubles(kind, difference, lower, upper):
    return abs(difference) < -upper if kind == "symmetric" else difference > upper


def _halves(kind, difference, lower, upper):
    if not np.isfinite(difference):
        return True
    return abs(difference) > -lower if kind == "symmetric" else difference < lower


def _search(kind, trial, lower, upper, largest):
    """The exponent, and all that were tried: doubling ends one before the first hard trial."""
    tried = [0]
    difference = trial(0)
    if _doubles(kind, difference, lower, upper):
        e = 0
        while e < largest:
            tried.append(e + 1)
            if not _doubles(kind, trial(e + 1), lower, upper):
                return e, tried
            e += 1
        return e, tried
    e = 0
    while _halves(kind, difference, lower, upper) and e > -largest:
        e -= 1
        tried.append(e)
        difference = trial(e)
    return e, tried


def auto_mala_step(kind, target, x, p, beta, base, scale, uniforms, largest=14):
    """The whole step: forward search, proposal, whole backward search from its flip."""
    lower, upper = np.sort(np.log(uniforms[:2]))

    def trial_from(x, p):
        start = joint(target, x, p, beta)

        def trial(e):
            with np.errstate(over="ignore", invalid="ignore"):
                end = leapfrog(target, x, p, beta, base * 2.0**e, scale)
                difference = joint(target, *end, beta) - start
            return difference if np.isfinite(difference) else -np.inf

        return trial

    forward = trial_from(x, p)
    exponent, tried = _search(kind, forward, lower, upper, largest)
    difference = forward(exponent)
    if not np.isfinite(difference):
        return SlowStep(x, p, -np.inf, exponent, exponent, tried, [])
    end, end_p = leapfrog(target, x, p, beta, base * 2.0**exponent, scale)
    backward, tried_back = _search(kind, trial_from(end, -end_p), lower, upper, largest)
    return SlowStep(end, end_p, difference, exponent, backward, tried, tried_back)
