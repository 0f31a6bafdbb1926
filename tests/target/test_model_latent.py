"""Latents of every kind are prior, with one determinant each: exact splits by SciPy."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.distributions import transforms
from numpyro.infer import reparam
from scipy import stats

from support.exact_splits import Cases, N, Y, location

CASES = Cases()


@CASES.case
def deterministic_has_no_density():
    def observe(x):
        twice = numpyro.deterministic("twice", 2 * x)
        numpyro.sample("y", dist.Normal(twice, 1), obs=Y)

    return (location(observe), {"x": 0.6}, N(0.6), N(Y, 1.2).sum())


@CASES.case
def dirichlet_in_a_plate():
    p = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    k = np.array([0, 2])

    def model():
        with numpyro.plate("n", 2):
            w = numpyro.sample("w", dist.Dirichlet(jnp.array([0.7, 1.0, 2.5])))
            numpyro.sample("k", dist.Categorical(w), obs=k)

    prior = sum(stats.dirichlet.logpdf(row, [0.7, 1.0, 2.5]) for row in p)
    want = np.log(0.2) + np.log(0.1)
    return (model, {"w": p}, prior, want, lambda v: jnp.ravel(v["w"][:, :2]))


@CASES.case
def cholesky_factor_of_a_correlation():
    z = np.array([[0.5, 0.7], [1.0, 0.2], [-0.3, -0.9]])

    def model():
        low = numpyro.sample("L", dist.LKJCholesky(2, 2.0))
        numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(2), scale_tril=low), obs=z)

    r = -0.6  # LKJ(2, 2): (r + 1) / 2 is Beta(2, 2), and r is the free entry of the factor
    prior = stats.beta.logpdf((r + 1) / 2, 2, 2) - np.log(2)
    want = stats.multivariate_normal.logpdf(z, [0, 0], [[1, r], [r, 1]]).sum()
    values = {"L": np.array([[1.0, 0.0], [r, 0.8]])}
    return (model, values, prior, want, lambda v: v["L"][1, :1])


@CASES.case
def zero_sum_normal():
    v = np.array([0.5, -1.2, 0.4, 0.3])

    def model():
        effect = numpyro.sample("v", dist.ZeroSumNormal(1.5, (4,)))
        numpyro.sample("y", dist.Normal(effect, 1).to_event(1), obs=Y)

    prior = -1.5 * np.log(2 * np.pi * 1.5**2) - (v**2).sum() / (2 * 1.5**2)
    half = np.linalg.qr(np.eye(4) - 0.25)[0][:, :3]  # orthonormal within the subspace
    want = N(Y, v).sum()
    return (model, {"v": v}, prior, want, lambda values: jnp.asarray(half.T) @ values["v"])


@CASES.case
def ordered_cutpoints():
    cuts = np.array([-0.7, 0.2, 1.9])
    k = np.array([0, 3, 1])
    base = np.array([-0.7, np.log(0.9), np.log(1.7)])

    def model():
        normal = dist.Normal(0, 1).expand([3]).to_event(1)
        c = numpyro.sample("c", dist.TransformedDistribution(normal, transforms.OrderedTransform()))
        with numpyro.plate("n", 3):
            numpyro.sample("k", dist.OrderedLogistic(0.3, c), obs=k)

    below = np.concatenate([[0], 1 / (1 + np.exp(0.3 - cuts)), [1]])
    want = np.log(np.diff(below)[k]).sum()
    return (model, {"c": cuts}, N(base).sum() - base[1:].sum(), want)


@CASES.case
def interval_ends_that_move_with_a_latent():
    def model():
        a = numpyro.sample("a", dist.HalfNormal(1.0))
        b = numpyro.sample("b", dist.Uniform(-a, 2 * a))
        c = numpyro.sample("c", dist.TruncatedNormal(0.0, 1.0, low=b))
        numpyro.sample("y", dist.Normal(c, 1), obs=Y)

    prior = stats.halfnorm.logpdf(0.9) - np.log(2.7) + N(0.8) - stats.norm.logsf(0.5)
    return (model, {"a": 0.9, "b": 0.5, "c": 0.8}, prior, N(Y, 0.8).sum())


@CASES.case
def von_mises_on_the_circle():
    def model():
        phi = numpyro.sample("phi", dist.VonMises(0.3, 4.0))
        numpyro.sample("y", dist.Normal(jnp.cos(phi), 1), obs=Y)

    want = N(Y, np.cos(-1.0)).sum()
    return (model, {"phi": -1.0}, stats.vonmises.logpdf(-1.0, 4.0, loc=0.3), want)


def _school():
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    x = numpyro.sample("x", dist.Normal(mu, 2))
    numpyro.sample("y", dist.Normal(x, 1), obs=Y)


@CASES.case
def decentred_location_and_scale():
    model = handlers.reparam(_school, {"x": reparam.LocScaleReparam(centered=0.0)})
    want = N(Y, 0.3 + 2 * 0.7).sum()
    return (model, {"mu": 0.3, "x_decentered": 0.7}, N(0.3) + N(0.7), want)


@CASES.case
def explicit_reparametrisation():
    """x = asinh(x_base): the auxiliary site carries the density of sinh(x)."""
    model = handlers.reparam(_school, {"x": reparam.ExplicitReparam(_Sinh())})
    x = np.arcsinh(0.7)
    prior = N(0.3) + N(x, 0.3, 2) - np.log(np.cosh(x))
    return (model, {"mu": 0.3, "x_base": 0.7}, prior, N(Y, x).sum())


class _Sinh(transforms.ParameterFreeTransform):
    domain = codomain = dist.constraints.real

    def __call__(self, x):
        return jnp.sinh(x)

    def _inverse(self, y):
        return jnp.arcsinh(y)

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        return jnp.log(jnp.cosh(x))


@CASES.case
def base_of_a_transformed_distribution():
    def shifted():
        affine = transforms.AffineTransform(-1.0, 0.5)
        x = numpyro.sample("x", dist.TransformedDistribution(dist.Gamma(2.0, 1.0), affine))
        numpyro.sample("y", dist.Normal(x, 1), obs=Y)

    model = handlers.reparam(shifted, {"x": reparam.TransformReparam()})
    want = N(Y, -1 + 0.5 * 1.4).sum()
    return (model, {"x_base": 1.4}, stats.gamma.logpdf(1.4, 2.0), want)


@CASES.case
def projected_normal_reparametrised():
    def direction():
        u = numpyro.sample("u", dist.ProjectedNormal(jnp.array([1.0, 0.5])))
        numpyro.sample("y", dist.Normal(u[0], 1), obs=Y)

    model = handlers.reparam(direction, {"u": reparam.ProjectedNormalReparam()})
    z = np.array([0.4, -0.8])
    shifted = z + np.array([1.0, 0.5])
    want = N(Y, shifted[0] / np.hypot(*shifted)).sum()
    return (model, {"u_normal": z}, N(z).sum(), want)


@CASES.case
def do_leaves_the_latent_with_its_prior():
    model = handlers.do(_school, {"x": 1.5})
    prior = N(0.3) + N(0.7, 0.3, 2)
    return (model, {"mu": 0.3, "x": 0.7}, prior, N(Y, 1.5).sum())


@CASES.case
def scope_gives_names_with_slashes():
    model = handlers.scope(_school, "a")
    return (model, {"a/mu": 0.3, "a/x": 0.7}, N(0.3) + N(0.7, 0.3, 2), N(Y, 0.7).sum())


@CASES.case
def lifted_param_is_a_latent():
    def fixed():
        a = numpyro.param("a", 1.0)
        numpyro.sample("y", dist.Normal(a, 1), obs=Y)

    return (
        handlers.lift(fixed, {"a": dist.Normal(0, 3)}),
        {"a": 0.7},
        N(0.7, 0, 3),
        N(Y, 0.7).sum(),
    )


@CASES.case
def unhidden_data_are_a_latent():
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        with handlers.uncondition():
            y = numpyro.sample("y", dist.Normal(x, 1), obs=5.0)
        numpyro.sample("z", dist.Normal(y, 1), obs=Y)

    return (model, {"x": 0.3, "y": 0.7}, N(0.3) + N(0.7, 0.3), N(Y, 0.7).sum())


@pytest.mark.usual(
    "*cholesky_factor_of_a_correlation",
    "*interval_ends_that_move_with_a_latent",
    "*dirichlet_in_a_plate",
    "*zero_sum_normal",
    "*ordered_cutpoints",
    "*base_of_a_transformed_distribution",
    "*von_mises_on_the_circle",
    "*lifted_param_is_a_latent",
)
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_split_into_prior_and_likelihood_is_exact(name, precision, check_split):
    check_split(precision, *CASES[name]())


@pytest.mark.usual("ordered_cutpoints")
@pytest.mark.filterwarnings("ignore::numpygeons.errors.NumpygeonsWarning")
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_and_those_of_the_functions(name, x64, check_gradients):
    check_gradients(*CASES[name]()[:2])
