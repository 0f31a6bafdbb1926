"""What the models with exact splits by SciPy share: data, a density, a way to collect them."""

import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy import stats

Y = np.array([0.4, -1.1, 2.0, 0.3])
N = stats.norm.logpdf


class Cases(dict):
    """Functions by name, each of which gives a model, values, log prior and log likelihood."""

    def case(self, make):
        """Collects one."""
        self[make.__name__] = make
        return make


def location(observe):
    """A model with one standard normal latent `x`."""

    def model():
        observe(numpyro.sample("x", dist.Normal(0, 1)))

    return model
