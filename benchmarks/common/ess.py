"""Computes how many independent draws the draws of a run are worth."""

import numpy as np

from common.run import Run

FEW_FAMILIES = 20


def min_ess(run: Run) -> float:
    """The smallest bulk ESS of a coordinate.

    It is made of ranks, so it is the same in constrained space as in unconstrained space, where
    one coordinate is a rising function of the other, as in all these problems.
    """
    if run.ess is not None:
        return run.ess
    columns = [
        column
        for value in run.samples.values()
        for column in np.moveaxis(value.reshape(*value.shape[:2], -1), -1, 0)
    ]
    if run.families is not None:
        return min(genealogical_ess(column[0], run.families) for column in columns)
    import arviz

    return min(float(arviz.ess(column, method="bulk")) for column in columns)


def genealogical_ess(values: np.ndarray, families: np.ndarray) -> float:
    """ESS of equally weighted particles, from the variance of their mean between families.

    The sum over families of squared sums, divided by the square of the number of particles,
    estimates that variance (Chan and Lai 2013; Lee and Whiteley 2018); as in the bulk ESS of
    series, values are replaced by the normal scores of their ranks. Where hardly a family is
    left that says nothing, and the result is their effective number.
    """
    from scipy import stats

    n = len(values)
    n_effective = n**2 / np.sum(np.bincount(families, minlength=n) ** 2.0)
    if n_effective < FEW_FAMILIES:
        return float(n_effective)
    scores = stats.norm.ppf((stats.rankdata(values) - 0.375) / (n + 0.25))
    sums = np.bincount(families, weights=scores - scores.mean(), minlength=n)
    return float(n**2 * scores.var() / np.sum(sums**2))
