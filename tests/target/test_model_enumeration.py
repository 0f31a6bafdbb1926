"""Discrete latents marked for enumeration are summed out: exact splits, by sums by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from scipy import stats
from scipy.special import logsumexp

import support.numpyro_examples_not_plain as examples
from numpygeons import ModelError, NumpygeonsWarning, pigeons
from numpygeons.target.path import as_path
from support.exact_splits import Cases, N, Y

pytest.importorskip("funsor", reason="sums over discrete latents need the extra `enum`")

SHARED = {"enumerate": "parallel"}  # one dictionary for several sites
CASES = Cases()


def over_states(shape, log_term):
    """Log of the sum of exp(log_term(z)) over all arrays z of a shape with entries 0 and 1."""
    states = itertools.product((0, 1), repeat=int(np.prod(shape)))
    return logsumexp([log_term(np.reshape(z, shape)) for z in states])


@CASES.case
def mixture_in_a_plate():
    def model():
        w = numpyro.sample("w", dist.Beta(2.0, 3.0))
        mu = numpyro.sample("mu", dist.Normal(0, 2).expand([2]).to_event(1))
        with numpyro.plate("n", 4):
            z = numpyro.sample("z", dist.Bernoulli(w), infer=SHARED)
            numpyro.sample("y", dist.Normal(mu[z], 1), obs=Y)

    mu = np.array([-0.5, 1.5])
    want = np.log(0.7 * np.exp(N(Y, -0.5)) + 0.3 * np.exp(N(Y, 1.5))).sum()
    prior = stats.beta.logpdf(0.3, 2, 3) + N(mu, 0, 2).sum()
    return (model, {"w": 0.3, "mu": mu}, prior, want)


@CASES.case
def one_state_for_all_rows_with_a_scale_and_missing_data():
    data = np.where([True, True, False, True], Y, np.nan)

    def model():
        s = numpyro.sample("s", dist.HalfNormal(2.0))
        z = numpyro.sample("z", dist.Categorical(jnp.array([0.2, 0.5, 0.3])), infer=SHARED)
        seen = handlers.mask(mask=~jnp.isnan(data))
        with numpyro.plate("n", 4), handlers.scale(scale=0.5), seen:
            numpyro.sample("y", dist.Normal(z - 1.0, s), obs=data)
        numpyro.factor("f", 0.3 * z)

    terms = [0.5 * N(Y[[0, 1, 3]], k - 1, 1.2).sum() + 0.3 * k for k in range(3)]
    want = logsumexp(terms, b=[0.2, 0.5, 0.3])
    return (model, {"s": 1.2}, stats.halfnorm.logpdf(1.2, scale=2), want)


@CASES.case
def two_discrete_latents_share_their_marks():
    w = np.array([0.3, 0.6])
    y = np.array([0.1, 0.9, 2.2])
    p = np.array([[0.7 * 0.4, 0.7 * 0.6], [0.3 * 0.4, 0.3 * 0.6]])
    each = [logsumexp([[N(v, a + b) for b in (0, 1)] for a in (0, 1)], b=p) for v in y]
    return (examples.toy_mixture, {"weight": w}, 0.0, np.sum(each))


@CASES.case
def a_discrete_latent_under_another():
    def model():
        p = numpyro.sample("p", dist.Beta(1.0, 1.0))
        a = numpyro.sample("a", dist.Bernoulli(p), infer={"enumerate": "parallel"})
        with numpyro.plate("n", 4):
            b = numpyro.sample("b", dist.Bernoulli(0.2 + 0.6 * a), infer={"enumerate": "parallel"})
            numpyro.sample("y", dist.Normal(b, 1), obs=Y)

    def given(a):
        q = 0.2 + 0.6 * a
        return np.log((1 - q) * np.exp(N(Y)) + q * np.exp(N(Y, 1))).sum()

    return (model, {"p": 0.3}, 0.0, logsumexp([given(0), given(1)], b=[0.7, 0.3]))


def _hidden_markov(length=None, configured=False):
    words = examples.WORDS[:length]
    move = np.array([[0.7, 0.3], [0.4, 0.6]])
    emit = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    level = np.array([0.3, -0.2, 0.9, 0.4, -1.0])[:length]

    def model():
        with numpyro.plate("state", 2):
            m = numpyro.sample("move", dist.Dirichlet(jnp.ones(2)))
            e = numpyro.sample("emit", dist.Dirichlet(jnp.ones(3)))

        def step(before, word):
            infer = {} if configured else {"enumerate": "parallel"}
            x = numpyro.sample("level", dist.Normal(0, 1))
            z = numpyro.sample("z", dist.Categorical(m[before]), infer=infer)
            numpyro.sample("word", dist.Categorical(e[z]), obs=word)
            numpyro.sample("real", dist.Normal(z, 1), obs=x)
            return z, None

        scan(step, 0, jnp.asarray(words))

    if configured:
        from numpyro.contrib.funsor import config_enumerate

        model = config_enumerate(model)

    def term(z):
        before = np.concatenate([[0], z[:-1]])
        return np.log(move[before, z]).sum() + np.log(emit[z, words]).sum() + N(level, z).sum()

    want = over_states((len(words),), term)

    def free(v):
        return jnp.concatenate([v["move"][:, 0], jnp.ravel(v["emit"][:, :2]), v["level"]])

    prior = 2 * np.log(2) + N(level).sum()  # Dirichlet(1, 1, 1) has density 2
    return (model, {"move": move, "emit": emit, "level": level}, prior, want, free)


@CASES.case
def hidden_markov_model_by_scan():
    return _hidden_markov()


@CASES.case
def hidden_markov_model_of_one_step():
    return _hidden_markov(length=1)


@CASES.case
def hidden_markov_model_configured_from_outside():
    return _hidden_markov(configured=True)


@CASES.case
def hidden_markov_model_of_second_order():
    table = np.array([[[0.7, 0.3], [0.4, 0.6]], [[0.2, 0.8], [0.9, 0.1]]])

    def model():
        mu = numpyro.sample("mu", dist.Normal(0, 1))

        def step(carry, y):
            last, now = carry
            p = jnp.asarray(table)[last, now]
            z = numpyro.sample("z", dist.Categorical(p), infer={"enumerate": "parallel"})
            numpyro.sample("y", dist.Normal(mu * z, 1), obs=y)
            return (now, z), None

        scan(step, (0, 0), jnp.asarray(Y), history=2)

    def term(z):
        before = np.concatenate([[0, 0], z])
        return np.log(table[before[:-2], before[1:-1], z]).sum() + N(Y, 0.8 * z).sum()

    return (model, {"mu": 0.8}, N(0.8), over_states((4,), term))


@CASES.case
def annotators_with_confusion_matrices():
    ratings = examples.ANNOTATIONS
    confusion = np.random.default_rng(3).dirichlet(np.ones(3), size=(3, 3))
    prevalence = np.array([0.5, 0.3, 0.2])
    each = [
        logsumexp(np.log(prevalence) + np.log(confusion[np.arange(3), :, row]).sum(axis=0))
        for row in ratings
    ]

    def free(v):
        return jnp.concatenate([jnp.ravel(v["confusion"][..., :2]), v["prevalence"][:2]])

    values = {"confusion": confusion, "prevalence": prevalence}
    return (examples.annotation, values, 10 * np.log(2), np.sum(each), free)


@CASES.case
def capture_and_recapture_without_the_mask_on_the_discrete_latent():
    survival, recapture = 0.6, 0.7

    def animal(row):
        def term(z):
            total, met, alive = 0.0, False, 1
            for now, seen in zip(z, row, strict=True):
                p = survival * alive if met else 1.0
                q = recapture * now
                total += np.log([1 - p, p][now]) + (np.log([1 - q, q][seen]) if met else 0.0)
                met, alive = met or bool(seen), now
            return total

        return over_states((len(row),), term)

    with np.errstate(divide="ignore"):
        want = sum(animal(row) for row in examples.CAPTURES)
    model = lambda: examples.capture_recapture(masked=False)  # noqa: E731
    return (model, {"survival": survival, "recapture": recapture}, 0.0, want)


@pytest.mark.usual(
    "*hidden_markov_model_of_one_step",
    "*mixture_in_a_plate",
    "*two_discrete_latents_share_their_marks",
    "*hidden_markov_model_of_second_order",
)
@pytest.mark.parametrize("name", CASES)
def test_the_split_into_prior_and_likelihood_is_exact(name, precision, check_split):
    check_split(precision, *CASES[name]())


WITH_GRADIENTS = ("mixture_in_a_plate", "hidden_markov_model_of_second_order")


@pytest.mark.usual("mixture_in_a_plate")
@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_gradients_are_finite_and_those_of_the_functions(name, x64, check_gradients):
    check_gradients(*CASES[name]()[:2])


@pytest.mark.slow
def test_a_mixture_summed_out_equals_the_mixture_distribution(x64):
    summed = as_path(CASES["mixture_in_a_plate"]()[0])

    def model():
        w = numpyro.sample("w", dist.Beta(2.0, 3.0))
        mu = numpyro.sample("mu", dist.Normal(0, 2).expand([2]).to_event(1))
        mixture = dist.MixtureSameFamily(
            dist.Categorical(jnp.stack([1 - w, w])), dist.Normal(mu, 1)
        )
        with numpyro.plate("n", 4):
            numpyro.sample("y", mixture, obs=Y)

    by_hand = as_path(model)

    @jax.jit
    def pairs(key):
        x = by_hand.sample_reference(key)
        same = x == summed.sample_reference(key)
        return same, by_hand.log_pair(x), summed.log_pair(x)

    for seed in range(5):
        same, want, got = pairs(jax.random.key(seed))
        assert np.all(same)
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.slow
def test_angles_on_a_torus_are_a_mixture_of_two(x64):
    """The constant of a sine model is a series: the plain distribution is the reference here."""
    path = as_path(examples.bivariate_von_mises_mixture)

    @jax.jit
    def both(x):
        v = path.constrain(x)
        each = [
            dist.SineBivariateVonMises(
                v["phi"][k], v["psi"][k], c, c, weighted_correlation=0.1
            ).log_prob(examples.ANGLES)
            + jnp.log(v["weights"][k])
            for k, c in enumerate(v["concentration"])
        ]
        return path.v(x), jnp.sum(jax.nn.logsumexp(jnp.stack(each), axis=0))

    got, want = both(jnp.linspace(-0.5, 0.7, path.dimension))
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_a_run_gives_the_evidence_of_two_shells():
    """Each shell holds the same mass; both lie within the box."""
    pt = pigeons(examples.gaussian_shells, n_chains=6, n_rounds=11, show_report=False)
    assert pt.samples["x"].shape == (2048, 2)
    r = np.linspace(1.0, 3.0, 20_001)
    mass = np.trapezoid(2 * np.pi * r * np.exp(-0.5 * ((r - 2) / 0.1) ** 2), r) / 144
    z = (pt.log_z - np.log(mass)) / pt.log_z_error
    assert 2 * stats.t.sf(abs(z), pt.log_z_dof) > 1e-6
    assert 0.2 < np.mean(pt.samples["x"][:, 0] > 0) < 0.8


@pytest.mark.usual("toy_mixture")
@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [examples.annotation, examples.hidden_markov_by_enumeration, examples.toy_mixture]
)
def test_an_example_with_discrete_latents_runs(model):
    pt = pigeons(model, n_chains=3, n_rounds=5, show_report=False)
    assert np.isfinite(pt.log_z)
    assert not {"c", "z", "first", "second"} & set(pt.samples)
    assert all(np.all(np.isfinite(values)) for values in pt.samples.values())
    observed = pt.to_arviz(log_likelihood=True).log_likelihood
    assert [name[:9] for name in observed.data_vars] == ["sum_over_"]


def coin(*, infer=SHARED, after=lambda z: None, around=None, data=0.3):
    def model():
        x = numpyro.sample("x", dist.Normal(0, 1))
        with around or handlers.mask(mask=True):
            z = numpyro.sample("z", dist.Bernoulli(0.4), infer=dict(infer))
        after(z)
        numpyro.sample("y", dist.Normal(x + z, 1), obs=data)

    return model


def in_scan(around=None, **settings):
    def model():
        numpyro.sample("x", dist.Normal(0, 1))

        def step(_, y):
            z = numpyro.sample("z", dist.Bernoulli(0.4), infer={"enumerate": "parallel"})
            numpyro.sample("y", dist.Normal(z, 1), obs=y)
            return z, None

        with around or handlers.mask(mask=True):
            scan(step, 0, jnp.asarray(Y), **settings)

    return model


def state_beside_an_event():
    """The two states would be taken for the two entries of the vector."""
    x = numpyro.sample("x", dist.Normal(0, 1).expand([2]).to_event(1))
    z = numpyro.sample("z", dist.Bernoulli(0.4), infer={"enumerate": "parallel"})
    numpyro.factor("f", -jnp.sum((x - z) ** 2))


REFUSED = {
    "state beside an event": (state_beside_an_event, r"\['z'\] cannot be summed out.*z\[..., None"),
    "latent under it": (
        coin(after=lambda z: numpyro.sample("v", dist.Normal(z, 1))),
        r"'v' depends on a discrete one of \['z'\].*by hand",
    ),
    "no mark on one of two": (
        coin(after=lambda z: numpyro.sample("other", dist.Bernoulli(0.5))),
        "is discrete.*infer=",
    ),
    "not enumerable": (
        coin(after=lambda z: numpyro.sample("count", dist.Poisson(2.0))),
        "'count' is discrete|'z' is discrete",
    ),
    "masked": (coin(around=handlers.mask(mask=False)), "'z' is masked"),
    "scaled": (coin(around=handlers.scale(scale=2.0)), "'z' stands under a scale"),
    "masked around a scan": (in_scan(handlers.mask(mask=False)), "'z' is masked"),
    "scaled around a scan": (in_scan(handlers.scale(scale=2.0)), "'z' stands under a scale"),
    "scan backwards": (in_scan(reverse=True), "'z' is discrete, in a scan with reverse=True"),
    "NaN in the data": (coin(data=np.array([0.1, np.nan])), "'y' has 1 NaN of 2"),
    "data outside": (
        coin(after=lambda z: numpyro.sample("v", dist.HalfNormal(1.0 + z), obs=-1.0)),
        "'v' has 1 of 1 values outside",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_summed_out_is_refused_by_name(name):
    model, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        as_path(model)


def test_deterministic_sites_of_a_discrete_latent_are_left_out_with_a_warning():
    def after(z):
        numpyro.deterministic("of_z", z + 1)
        numpyro.deterministic("of_none", jnp.ones(3))

    with pytest.warns(NumpygeonsWarning, match="'of_z' depends on a discrete latent") as caught:
        path = as_path(coin(after=after))
    assert len(caught) == 1
    assert set(path.constrain(path.sample_reference(jax.random.key(0)))) == {"x", "of_none"}


@pytest.mark.slow
def test_params_keep_one_value_while_discrete_latents_are_summed_out(x64):
    def model():
        shift = numpyro.param("shift", lambda key: jax.random.normal(key))
        x = numpyro.sample("x", dist.Normal(shift, 1))
        z = numpyro.sample("z", dist.Bernoulli(0.4), infer=SHARED)
        numpyro.sample("y", dist.Normal(x - shift + z, 1), obs=0.3)

    with pytest.warns(NumpygeonsWarning, match="param site 'shift'"):
        path = as_path(model)
    x = path.sample_reference(jax.random.key(0))[0]
    log_reference, v = path.log_pair(x[None])
    offset = np.sqrt(-2 * (log_reference + 0.5 * np.log(2 * np.pi)))  # |x - shift|
    wants = [
        np.log(0.6 * np.exp(N(0.3, s)) + 0.4 * np.exp(N(0.3, s + 1))) for s in (offset, -offset)
    ]
    assert np.min(np.abs(v - np.array(wants))) < 1e-9
