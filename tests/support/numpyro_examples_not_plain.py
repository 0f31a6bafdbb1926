"""Models with the structure of NumPyro's own examples: discrete latents, params, stubs."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.example_libraries import stax
from numpyro import handlers
from numpyro.contrib.control_flow import scan

PARALLEL = {"enumerate": "parallel"}
ANNOTATIONS = np.array([[0, 0, 1], [1, 1, 1], [2, 0, 2], [0, 0, 0]])  # by item and annotator
CAPTURES = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0]])  # by animal and occasion
ANGLES = np.array([[0.1, 0.3], [-0.2, 0.1], [2.0, -2.5], [2.2, -2.4]])
WORDS = np.array([0, 2, 2, 1, 0])


def annotation(infer=PARALLEL, ratings=ANNOTATIONS):
    """Dawid and Skene: each annotator has a confusion matrix; the class of an item is latent."""
    items, annotators = ratings.shape
    with numpyro.plate("annotator", annotators, dim=-2), numpyro.plate("class", 3):
        confusion = numpyro.sample("confusion", dist.Dirichlet(jnp.ones(3)))
    prevalence = numpyro.sample("prevalence", dist.Dirichlet(jnp.ones(3)))
    with numpyro.plate("item", items, dim=-2):
        c = numpyro.sample("c", dist.Categorical(prevalence), infer=infer)
        with numpyro.plate("position", annotators):
            p = confusion[jnp.arange(annotators), c]
            numpyro.sample("y", dist.Categorical(p), obs=ratings)


def capture_recapture(infer=PARALLEL, captures=CAPTURES, masked=True):
    """Cormack, Jolly and Seber: alive or not is a masked Bernoulli in a scan."""
    animals = captures.shape[0]
    survival = numpyro.sample("survival", dist.Uniform(0, 1))
    recapture = numpyro.sample("recapture", dist.Uniform(0, 1))

    def step(carry, y):
        met, alive = carry
        with numpyro.plate("animal", animals):
            p = jnp.where(met, survival * alive, 1.0)
            with handlers.mask(mask=met if masked else True):
                z = numpyro.sample("z", dist.Bernoulli(p), infer=infer)
            with handlers.mask(mask=met):
                numpyro.sample("y", dist.Bernoulli(recapture * z), obs=y)
        return (met | y.astype(bool), z), None

    start = jnp.zeros(animals, bool), jnp.ones(animals, int)
    scan(step, start, jnp.asarray(captures.T))


def bivariate_von_mises_mixture(infer=PARALLEL, angles=ANGLES):
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(2)))
    with numpyro.plate("component", 2):
        phi = numpyro.sample("phi", dist.VonMises(0.0, 0.3))
        psi = numpyro.sample("psi", dist.VonMises(0.0, 0.3))
        concentration = numpyro.sample("concentration", dist.Gamma(5.0, 1.0))
    with numpyro.plate("n", len(angles)):
        k = numpyro.sample("k", dist.Categorical(weights), infer=infer)
        sine = dist.SineBivariateVonMises(
            phi[k], psi[k], concentration[k], concentration[k], weighted_correlation=0.1
        )
        numpyro.sample("angles", sine, obs=angles)


def gaussian_shells(infer=PARALLEL, dim=2):
    shell = numpyro.sample("shell", dist.Bernoulli(0.5), infer=infer)
    x = numpyro.sample("x", dist.Uniform(-6, 6).expand([dim]).to_event(1))
    centre = jnp.where(jnp.arange(dim) == 0, 3.5 - 7.0 * jnp.expand_dims(shell, -1), 0.0)
    radius = jnp.linalg.norm(x - centre, axis=-1)
    numpyro.factor("density", -0.5 * ((radius - 2.0) / 0.1) ** 2)


def hidden_markov_by_enumeration(infer=PARALLEL, words=WORDS):
    with numpyro.plate("state", 2):
        move = numpyro.sample("move", dist.Dirichlet(jnp.ones(2)))
        emit = numpyro.sample("emit", dist.Dirichlet(jnp.ones(3)))

    def step(before, word):
        z = numpyro.sample("z", dist.Categorical(move[before]), infer=infer)
        numpyro.sample("word", dist.Categorical(emit[z]), obs=word)
        return z, None

    scan(step, 0, jnp.asarray(words))


def toy_mixture(infer=PARALLEL):
    """Two causes, either of which may be on."""
    weight = numpyro.sample("weight", dist.Beta(1, 1).expand([2]).to_event(1))
    with numpyro.plate("n", 3):
        first = numpyro.sample("first", dist.Bernoulli(weight[0]), infer=infer)
        second = numpyro.sample("second", dist.Bernoulli(weight[1]), infer=infer)
        numpyro.sample("y", dist.Normal(first + second, 1.0), obs=jnp.array([0.1, 0.9, 2.2]))


def poisson_latent():
    """Not enumerable at all."""
    n = numpyro.sample("n", dist.Poisson(3.0))
    numpyro.sample("y", dist.Normal(n, 1.0), obs=2.0)


def decoder(images):
    """A variational autoencoder's model: its parameters are fixed, its codes are latents."""
    decode = numpyro.module("decoder", stax.Dense(images.shape[1]), (2,))
    with numpyro.plate("batch", len(images)):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([2]).to_event(1))
        numpyro.sample("image", dist.Bernoulli(logits=decode(z)).to_event(1), obs=images)


def parameters_alone(y=1.0):
    """What stochastic variational inference fits by maximum likelihood."""
    loc = numpyro.param("loc", 0.0)
    scale = numpyro.param("scale", 1.0, constraint=dist.constraints.positive)
    numpyro.sample("y", dist.Normal(loc, scale), obs=y)


class DualMoon(dist.Distribution):
    """A density without a sampler: `sample` is there for its shape alone."""

    support = dist.constraints.real_vector

    def __init__(self):
        super().__init__(event_shape=(2,))

    def sample(self, key, sample_shape=()):
        return jnp.zeros((*sample_shape, 2))

    def log_prob(self, value):
        radius = jnp.linalg.norm(value, axis=-1)
        sides = -0.5 * ((value[..., :1] + jnp.array([-2.0, 2.0])) / 0.6) ** 2
        return -0.5 * ((radius - 2) / 0.4) ** 2 + jnp.logaddexp(sides[..., 0], sides[..., 1])


def dual_moon():
    x = numpyro.sample("x", DualMoon())
    numpyro.factor("nothing", 1e-9 * x.sum())
