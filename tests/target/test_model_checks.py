"""What cannot be tempered is refused by name; what deserves a look is warned about."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.example_libraries import stax
from numpyro import handlers, optim
from numpyro.contrib.control_flow import scan
from numpyro.infer import SVI, Trace_ELBO, autoguide, reparam
from scipy import stats

from numpygeons.errors import ModelError, NumpygeonsWarning
from numpygeons.target.path import as_path

Y = np.array([0.4, -1.1, 2.0, 0.3])


def observe(x, data=Y):
    numpyro.sample("y", dist.Normal(x, 1), obs=data)


def two_levels():
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    observe(numpyro.sample("x", dist.Normal(mu, 2)))


def latent(distribution, around=None):
    def model():
        if around is None:
            x = numpyro.sample("x", distribution())
        else:
            with around():
                x = numpyro.sample("x", distribution())
        observe(jnp.sum(x))

    return model


def improper():
    return dist.ImproperUniform(dist.constraints.positive, (), ())


class Undrawable(dist.Distribution):
    support = dist.constraints.real

    def log_prob(self, value):
        return -(value**2)


class Nameless(dist.Normal):
    support = dist.constraints.dependent


def partly_observed():
    with numpyro.plate("n", 4):
        seen = jnp.array([True, False, True, True])
        numpyro.sample("x", dist.Normal(0, 1), obs=jnp.asarray(Y), obs_mask=seen)


def subsampled():
    x = numpyro.sample("x", dist.Normal(0, 1))
    with numpyro.plate("rows", 4, subsample_size=2) as rows:
        observe(x, jnp.asarray(Y)[rows])


def latents_under_a_subsampled_scale():
    with handlers.scale(scale=2.0):
        two_levels()


def in_scan(around=None, site=None, values=None):
    def model():
        start = numpyro.sample("x0", dist.Normal(0, 1))

        def step(last, y):
            z = numpyro.sample("z", site() if site else dist.Normal(last, 1))
            if values == "subsampled":
                with numpyro.plate("rows", 4, subsample_size=2):
                    numpyro.sample("y", dist.Normal(z, 1), obs=jnp.stack([y, y]))
            elif values == "key":
                numpyro.factor("y", jax.random.normal(numpyro.prng_key()))
            else:
                numpyro.sample("y", dist.Normal(z, 1), obs=y)
            return jnp.asarray(z, float), None

        with around() if around else handlers.mask(mask=True):
            scan(step, start, jnp.asarray(Y))

    return model


def forecast():
    def step(last, _):
        z = numpyro.sample("z", dist.Normal(last, 1))
        return z, None

    with handlers.condition(data={"z": jnp.asarray(Y)}):
        scan(step, numpyro.sample("x0", dist.Normal(0, 1)), None, length=6)


def branch_on_a_latent():
    x = numpyro.sample("x", dist.Normal(0, 1))
    with numpyro.plate("n", 3 if x > 0 else 2):
        observe(x, 1.0)


def numpy_on_a_latent():
    observe(np.sin(numpyro.sample("x", dist.Normal(0, 1))))


def nan_data():
    observe(numpyro.sample("x", dist.Normal(0, 1)), np.array([np.nan, 1.0]))


def nan_in_a_scan():
    x = numpyro.sample("x", dist.Normal(0, 1))

    def step(carry, row):
        with handlers.mask(mask=row[1] > 0):
            numpyro.sample("y", dist.Normal(x, 1), obs=row[0])
        return carry, None

    scan(step, 0.0, jnp.array([[0.1, 1], [np.nan, 0], [np.nan, 1], [np.nan, 1]]))


def neutra():
    guide = autoguide.AutoIAFNormal(two_levels)
    svi = SVI(two_levels, guide, optim.Adam(0.01), Trace_ELBO())
    params = svi.get_params(svi.init(jax.random.key(0)))
    return reparam.NeuTraReparam(guide, params).reparam(two_levels)


def masked_off():
    return handlers.mask(mask=False)


def half_masked():
    return handlers.mask(mask=jnp.array([True, False]))


def scaled():
    return handlers.scale(scale=0.5)


REFUSED = {
    "improper": (latent(improper), "'x'.*improper"),
    "improper in a scan": (in_scan(site=improper), "'z'.*improper"),
    "improper expanded": (latent(lambda: improper().expand([3])), "'x'.*improper"),
    "mask(False) around a latent": (latent(dist.LogNormal, masked_off), "'x' is masked"),
    "mask(False) on a latent": (latent(lambda: dist.Normal().mask(False)), "'x' is masked"),
    "mask on half a latent": (latent(lambda: dist.Normal().expand([2]), half_masked), "'x'.*mask"),
    "mask inside to_event": (
        latent(lambda: dist.Normal().expand([2]).mask(jnp.array([True, False])).to_event(1)),
        "'x' is masked",
    ),
    "mask around a scan": (in_scan(masked_off), "'z' is masked"),
    "scale on a latent": (latent(dist.Normal, scaled), "'x'.*scale"),
    "scale around all": (latents_under_a_subsampled_scale, "'mu'.*scale"),
    "scale around a scan": (in_scan(scaled), "'z'.*scale"),
    "subsampled plate": (subsampled, "plate 'rows' subsamples 2 of 4"),
    "subsampled plate in a scan": (in_scan(values="subsampled"), "plate 'rows' subsamples 2 of 4"),
    "obs_mask": (partly_observed, "'x_unobserved'.*obs_mask.*'x'"),
    "CircularReparam": (
        handlers.reparam(latent(lambda: dist.VonMises(0.0, 4.0)), {"x": reparam.CircularReparam()}),
        "'x_unwrapped'.*CircularReparam.*plain VonMises",
    ),
    "ProjectedNormal": (
        latent(lambda: dist.ProjectedNormal(jnp.ones(2))),
        "'x' .ProjectedNormal.*ProjectedNormalReparam",
    ),
    "support without a bijection": (latent(Nameless), "'x'.*bijection"),
    "no sampler": (latent(Undrawable), "'x'.*cannot be drawn"),
    "enumerable latent": (latent(lambda: dist.Bernoulli(0.3)), "'x' is discrete.*sum it out"),
    "discrete latent": (latent(lambda: dist.Poisson(3.0)), "'x' is discrete"),
    "discrete in a scan": (in_scan(site=lambda: dist.Categorical(jnp.ones(2))), "'z' is discrete"),
    "Delta latent": (latent(lambda: dist.Delta(0.3)), "'x'.*numpyro.deterministic"),
    "hidden latent": (handlers.block(two_levels, hide=["x"]), "'x' is hidden"),
    "key in a scan": (in_scan(values="key"), "prng_key.*inside a scan"),
    "forecast in a scan": (forecast, "'z'.*fewer values"),
    "branch that changes a shape": (
        branch_on_a_latent,
        r"'y' changes .*\(3,\).*\(2,\)|'y' changes",
    ),
    "NumPy on a latent": (numpy_on_a_latent, "depends on a latent.*jnp"),
    "no latent": (lambda: observe(0.0), "no latent site.*dimension 0"),
    "no coordinates": (latent(lambda: dist.Dirichlet(jnp.ones(1))), "'x'.*no coordinates"),
    "NaN data": (
        lambda: observe(numpyro.sample("x", dist.Normal()), np.array([np.nan, 1.0])),
        "'y' has 1 NaN of 2",
    ),
    "NaN data half under a mask": (nan_in_a_scan, "'y' has 2 NaN of 4"),
    "data outside the support": (
        lambda: numpyro.sample(
            "y", dist.LogNormal(numpyro.sample("x", dist.Normal()), 1), obs=np.array([1.0, -2.0])
        ),
        "'y' has 1 of 2 values outside the support",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_tempered_is_refused_by_name(name):
    model, message = REFUSED[name]
    with pytest.raises(ModelError, match=re.compile(message, re.DOTALL)):
        as_path(model)


@pytest.mark.slow
def test_neutra_is_refused():
    with pytest.raises(ModelError, match="NeuTraReparam"):
        as_path(neutra())


def test_scan_inside_a_plate_is_refused():
    def model():
        with numpyro.plate("n", 2):
            scan(lambda c, _: (numpyro.sample("z", dist.Normal(c, 1)), None), jnp.zeros(2), None, 3)

    with pytest.raises(ModelError, match="move the plate into the body"):
        as_path(model)


@pytest.mark.parametrize("kind", ["shape", "name", "observed"])
def test_a_model_that_changes_between_calls_is_refused(kind):
    calls = itertools.count(1)

    def model():
        n = next(calls)
        x = numpyro.sample("x", dist.Normal(jnp.zeros(n if kind == "shape" else 1), 1))
        if kind == "name":
            numpyro.deterministic(f"d{n}", x)
        observe(jnp.sum(x), Y[: n if kind == "observed" else 2])

    with pytest.raises(ModelError, match="changes between calls"):
        as_path(model)


WARNED = {
    "nothing observed": (lambda: numpyro.sample("x", dist.Normal(0, 1)), "nothing observed"),
    "param": (
        lambda: observe(numpyro.sample("x", dist.Normal(numpyro.param("a", 0.5), 1))),
        "param site 'a'",
    ),
    "learned centring": (
        handlers.reparam(two_levels, {"x": reparam.LocScaleReparam()}),
        "param site 'x_centered'",
    ),
    "substitute": (handlers.substitute(two_levels, {"x": jnp.array(0.5)}), "'x'.*substitute"),
    "substitute around a scan": (handlers.substitute(in_scan(), {"z": jnp.asarray(Y)}), "'z'.*sub"),
    "prng_key": (
        lambda: observe(numpyro.sample("x", dist.Normal(jax.random.normal(numpyro.prng_key()), 1))),
        "prng_key.*frozen",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_deserves_a_look_is_warned_about_once_and_at_the_callers_line(name):
    model, message = WARNED[name]
    with pytest.warns(NumpygeonsWarning, match=message) as caught:
        path = as_path(model)
    assert [record.filename for record in caught] == [__file__]
    assert np.isfinite(path.log_pair(path.sample_reference(jax.random.key(0)))).all()


def test_a_substituted_latent_is_drawn_from_its_prior():
    with pytest.warns(NumpygeonsWarning):
        path = as_path(handlers.substitute(two_levels, {"x": jnp.array(0.5)}))
    draws = jax.vmap(path.sample_reference)(jax.random.split(jax.random.key(0), 100))
    assert np.std(draws[:, 1]) > 0.5


def test_a_learned_centring_stays_at_one_half(x64):
    """x_decentered is Normal(mu / 2, sqrt(2)), where x is Normal(mu, 2)."""
    with pytest.warns(NumpygeonsWarning, match="param site 'x_centered'"):
        path = as_path(handlers.reparam(two_levels, {"x": reparam.LocScaleReparam()}))
    got = path.log_reference(path.unconstrain({"mu": 0.6, "x_decentered": 1.1}))
    want = stats.norm.logpdf(0.6) + stats.norm.logpdf(1.1, 0.3, np.sqrt(2))
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_params_of_a_module_are_fixed():
    def model():
        net = numpyro.module("net", stax.Dense(2), (3,))
        x = numpyro.sample("x", dist.Normal(0, 1).expand([3]))
        numpyro.sample("y", dist.Normal(net(x), 1), obs=Y[:2])

    with pytest.warns(NumpygeonsWarning, match=r"param site 'net\$params'"):
        path = as_path(model)
    x = path.sample_reference(jax.random.key(0))
    assert path.dimension == 3
    assert path.v(x) == path.v(x)


def test_a_model_seeded_by_the_user_still_gives_different_draws():
    path = as_path(handlers.seed(two_levels, 0))
    keys = jax.random.split(jax.random.key(0), 20)
    assert len(np.unique(jax.vmap(path.sample_reference)(keys)[:, 0])) == 20


def test_masked_nan_and_a_scale_of_one_are_accepted():
    data = np.array([np.nan, 1.0])

    def model():
        with handlers.scale(scale=1.0):
            x = numpyro.sample("x", dist.Normal(0, 1))
        with handlers.mask(mask=~jnp.isnan(data)):
            observe(x, data)

    assert np.isfinite(as_path(model).v(jnp.zeros(1)))


def test_wrong_arguments_say_what_was_got_and_wanted():
    def model(y, sigma):
        observe(numpyro.sample("x", dist.Normal(0, sigma)), y)

    with pytest.raises(TypeError, match=r"1 model_args.*'sigma'.*model\(y, sigma\)") as caught:
        as_path(model, (Y,))
    assert isinstance(caught.value.__cause__, TypeError)
    with pytest.raises(TypeError, match=r"model_kwargs \['scale'\]"):
        as_path(model, (Y,), {"scale": 1.0})
    with pytest.raises(TypeError, match=r"types \['list', 'NoneType'\].*failed") as caught:
        as_path(handlers.scope(model, "a"), ([0.1], None))
    assert isinstance(caught.value.__cause__, TypeError)


def test_an_error_of_the_model_itself_passes_through():
    def model():
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        as_path(model)
