"""Models with the structure of NumPyro's own examples run unchanged, or are refused by site."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import arviz
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from numpyro import handlers
from numpyro.infer.reparam import LocScaleReparam
from scipy import stats
from scipy.special import expit, gammaln, logsumexp

import support.numpyro_examples as models
import support.numpyro_examples_not_plain as others
from numpygeons import ModelError, NumericalError, NumpygeonsWarning, pigeons

P_MIN = 1e-6


# ----------------------------------------------------------------------- evidence by other means


def normal_grid(dim, n=60):
    """Nodes, shape (n**dim, dim), and log weights of the standard normal."""
    x, w = hermegauss(n)
    nodes = np.array(list(itertools.product(x, repeat=dim)))
    weights = np.array(list(itertools.product(np.log(w), repeat=dim)))
    return nodes, weights.sum(axis=1) - dim * 0.5 * np.log(2 * np.pi)


def uniform_grid(n=120):
    """Nodes and log weights of the uniform law on (0, 1)."""
    x, w = leggauss(n)
    return (x + 1) / 2, np.log(w / 2)


def logistic_evidence():
    beta, weights = normal_grid(2)
    p = expit(beta @ models.X_LOGIT.T)
    return logsumexp(weights + stats.bernoulli.logpmf(models.Y_LOGIT, p).sum(axis=1))


def zero_inflated_evidence():
    (x, weights), y = normal_grid(2), models.COUNTS
    gate, rate = expit(x[:, :1]), np.exp(x[:, 1:])
    terms = np.log((1 - gate) * stats.poisson.pmf(y, rate) + gate * (y == 0))
    return logsumexp(weights + terms.sum(axis=1))


def partially_pooled_evidence():
    """m is uniform; kappa is a quantile of Pareto(1, 1.5), which is u**(-2 / 3)."""
    u, w = uniform_grid()
    m, kappa = u[:, None], u[None, :] ** (-2 / 3)
    total = w[:, None] + w[None, :]
    for y, n in zip(models.HITS, models.AT_BATS, strict=True):
        total = total + stats.betabinom.logpmf(y, n, m * kappa, (1 - m) * kappa)
    return logsumexp(total)


def autoregression_evidence():
    """Given sigma the rest is linear and normal; sigma is a quantile of the half-normal."""
    y = models.SERIES
    x = np.column_stack([np.ones(len(y) - 2), y[1:-1], y[:-2]])
    u, w = uniform_grid()
    terms = [
        stats.multivariate_normal.logpdf(y[2:], np.zeros(len(x)), x @ x.T + s**2 * np.eye(len(x)))
        for s in stats.halfnorm.ppf(u)
    ]
    return logsumexp(w + terms)


def hidden_markov_evidence():
    """Every sequence of states has a closed form: a product of Dirichlet-multinomials."""

    def rows(counts, a):
        n = counts.shape[1]
        each = gammaln(n * a) - gammaln(n * a + counts.sum(axis=1))
        return np.sum(each + (gammaln(a + counts) - gammaln(a)).sum(axis=1))

    data = models.HIDDEN
    terms = []
    for path in itertools.product((0, 1), repeat=len(data["words"])):
        moves, emissions = np.zeros((2, 2)), np.zeros((2, 3))
        for states, words in ((data["states"], data["seen"]), (path, data["words"])):
            np.add.at(moves, (states[:-1], states[1:]), 1)
            np.add.at(emissions, (states, words), 1)
        terms.append(rows(moves, 1.0) + rows(emissions, 0.5))
    return logsumexp(terms)


def pooled_evidence():
    y, n = models.HITS, models.AT_BATS
    choose = (gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum()
    ends = gammaln(y.sum() + 1) + gammaln((n - y).sum() + 1) - gammaln(n.sum() + 2)
    return choose + ends


# ------------------------------------------------------------------------------------ the examples


@dataclass(kw_only=True)
class Example:
    model: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]]  # of every latent and deterministic site
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    log_z: Any = None
    n_chains: int = 5
    n_rounds: int = 8


PLAYERS = (models.AT_BATS, models.HITS)
LOGIT = (models.X_LOGIT, models.Y_LOGIT)
WIDE = (models.X_WIDE, models.Y_WIDE)
AR2 = {"a1": (), "a2": (), "const": (), "sigma": ()}

EXAMPLES = {
    "baseball pooled": Example(
        model=models.pooled, args=PLAYERS, shapes={"phi": ()}, log_z=pooled_evidence, n_rounds=10
    ),
    "baseball not pooled": Example(
        model=models.not_pooled,
        args=PLAYERS,
        shapes={"phi": (4,)},
        dims={"phi": ("players",)},
        log_z=lambda: -np.log(models.AT_BATS + 1).sum(),
        n_rounds=10,
    ),
    "baseball partially pooled": Example(
        model=models.partially_pooled,
        args=PLAYERS,
        shapes={"m": (), "kappa": (), "phi": (4,)},
        dims={"phi": ("players",)},
        log_z=partially_pooled_evidence,
        n_rounds=10,
    ),
    "baseball partially pooled on the logit": Example(
        model=models.partially_pooled_on_the_logit,
        args=PLAYERS,
        shapes={"loc": (), "scale": (), "alpha_base": (4,), "alpha": (4,)},
        dims={"alpha": ("players",), "alpha_base": ("players",)},
    ),
    "proportion test, DAIS": Example(
        model=models.logistic,
        args=LOGIT,
        shapes={"beta": (2,)},
        log_z=logistic_evidence,
        n_rounds=10,
    ),
    "covtype, HMCECS on all rows": Example(
        model=models.logistic_of_a_subsample,
        args=LOGIT,
        shapes={"beta": (2,)},
        log_z=logistic_evidence,
        n_rounds=10,
    ),
    "zero-inflated Poisson": Example(
        model=models.zero_inflated_poisson,
        args=(models.COUNTS,),
        shapes={"gate": (), "level": (), "rate": (8,)},
        dims={"rate": ("n",)},
        log_z=zero_inflated_evidence,
        n_rounds=10,
    ),
    "mortality": Example(
        model=models.mortality,
        kwargs=models.MORTALITY,
        shapes={
            "level": (),
            "s_age": (),
            "s_space": (),
            "top": (2, 1),
            "local": (2, 3),
            "walk": (4,),
            "mu": (12,),
        },
        dims={"local": ("region", "place"), "mu": ("n",), "top": ("region", "top_dim_1")},
        n_chains=8,
    ),
    "ucbadmit": Example(
        model=models.admissions,
        kwargs=models.ADMISSIONS,
        shapes={"mean": (2,), "sigma": (2,), "corr": (2, 2), "z": (3, 2), "v": (3, 2)},
        dims={"z": ("department", "z_dim_1")},
        n_chains=8,
    ),
    "bnn": Example(
        model=models.bnn,
        args=WIDE,
        shapes={"w1": (4, 3), "w2": (3, 1), "precision": ()},
        dims={"w1": ("inputs", "hidden")},
    ),
    "horseshoe regression": Example(
        model=models.horseshoe,
        args=WIDE,
        shapes={"lam": (4,), "tau": (1,), "raw": (4,), "beta": (4,), "precision": ()},
        n_chains=8,
    ),
    "sparse regression": Example(
        model=models.sparse_regression,
        args=WIDE,
        shapes={"sigma": (), "phi": (), "eta": (), "slab": (), "lam": (4,)},
    ),
    "gp": Example(
        model=models.gaussian_process,
        args=(models.AT, models.CURVE),
        shapes={"k_variance": (), "k_noise": (), "k_length": ()},
        n_chains=8,
    ),
    "hsgp": Example(
        model=models.hilbert_space_gaussian_process,
        args=(models.AT, models.CURVE),
        shapes={"alpha": (), "length": (), "noise": (), "beta": (5,), "f": (8,)},
        dims={"beta": ("basis",), "f": ("n",)},
        n_chains=8,
    ),
    "stochastic volatility": Example(
        model=models.stochastic_volatility,
        args=(models.RETURNS,),
        shapes={"step": (), "s": (12,), "nu": ()},
    ),
    "ar2": Example(
        model=models.ar2,
        args=(models.SERIES,),
        shapes={**AR2, "mean": (12,)},
        log_z=autoregression_evidence,
        n_rounds=10,
    ),
    "ar2 by a loop": Example(
        model=models.ar2_one_site_per_step,
        args=(models.SERIES,),
        shapes=AR2,
        log_z=autoregression_evidence,
        n_rounds=10,
    ),
    "Holt-Winters": Example(
        model=models.holt_winters,
        args=(models.SERIES,),
        shapes={
            **dict.fromkeys(("level_weight", "season_weight", "trend_weight"), ()),
            **dict.fromkeys(("level", "trend", "noise"), ()),
            "first": (4,),
            "mu": (14,),
        },
        dims={"first": ("seasons",)},
        n_chains=8,
    ),
    "var2": Example(
        model=models.vector_autoregression,
        args=(models.TWO_SERIES,),
        shapes={
            "c": (2,),
            "phi1": (2, 2),
            "phi2": (2, 2),
            "sigma": (2,),
            "omega": (2, 2),
            "root": (2, 2),
            "means": (12, 2),
        },
        n_chains=8,
    ),
    "ode": Example(
        model=models.predator_and_prey,
        args=(models.TIMES, models.HARES),
        shapes={"z0": (2,), "theta": (4,), "sigma": (2,)},
        n_rounds=5,
    ),
    "hmm": Example(
        model=models.hidden_markov,
        kwargs=models.HIDDEN,
        shapes={"move": (2, 2), "emit": (2, 3)},
        dims={"emit": ("state", "emit_dim_1")},
        log_z=hidden_markov_evidence,
        n_rounds=10,
    ),
}


@pytest.mark.usual("hmm")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_numpyro_runs_unchanged(name):
    example = EXAMPLES[name]
    pt = pigeons(
        example.model,
        model_args=example.args,
        model_kwargs=example.kwargs,
        n_chains=example.n_chains,
        n_rounds=example.n_rounds,
        show_report=False,
    )
    n = 2**example.n_rounds
    assert {site: a.shape for site, a in pt.samples.items()} == {
        site: (n, *shape) for site, shape in example.shapes.items()
    }
    assert all(np.all(np.isfinite(values)) for values in pt.samples.values())
    assert all(len(np.unique(values)) > 1 for values in pt.samples.values())
    assert np.isfinite(pt.log_z)
    if example.log_z is not None:
        z = (pt.log_z - example.log_z()) / pt.log_z_error
        assert 2 * stats.t.sf(abs(z), pt.log_z_dof) > P_MIN

    data = pt.to_arviz(log_likelihood=True)
    for site, dims in example.dims.items():
        assert data.posterior[site].dims == ("chain", "draw", *dims)
    pointwise = sum(
        terms.values.reshape(n, -1).astype(float).sum(axis=1)
        for terms in data.log_likelihood.data_vars.values()
    )
    v = data.sample_stats["log_likelihood_total"].values[0]
    np.testing.assert_allclose(pointwise, v, rtol=1e-4, atol=1e-3)
    assert len(arviz.summary(data, kind="stats")) == sum(
        int(np.prod(shape)) for shape in example.shapes.values()
    )


# ----------------------------------------------------------------- what runs with a warning, or not


@pytest.mark.usual("True")
@pytest.mark.parametrize("decentred", [False, True])
def test_the_funnel_runs_with_nothing_observed(decentred):
    model, sites = models.funnel, {"y", "x"}
    if decentred:
        model = handlers.reparam(model, {"x": LocScaleReparam(0)})
        sites = {"y", "x_decentered", "x"}
    with pytest.warns(NumpygeonsWarning, match="nothing observed"):
        pt = pigeons(model, n_chains=3, n_rounds=11, show_report=False)
    assert set(pt.samples) == sites
    assert pt.samples["x"].shape == (2048, 3)
    _, log_z, _ = pt.log_z_curve(np.linspace(0, 1, 7))
    np.testing.assert_allclose(log_z, 0, atol=1e-12)

    assert pt.swap_acceptance == pytest.approx(1)
    assert np.std(pt.samples["y"]) == pytest.approx(3, rel=0.3)


@pytest.mark.slow
def test_a_gaussian_process_is_not_a_number_at_some_prior_draws():
    args = (models.AT, models.CURVE)
    pt = pigeons(models.gaussian_process, model_args=args, n_chains=3, show_report=False)
    assert 10 < pt.rounds[-1].n_zero_likelihood < 512
    assert "flag: likelihood not a number" in pt.report()


def test_a_distribution_whose_sampler_is_a_stub_is_refused():
    with pytest.raises(NumericalError, match=r"all 1024 draws .* have x\[0\] = 0 .*`sample`"):
        pigeons(others.dual_moon, n_chains=2, n_rounds=1, show_report=False)


@pytest.mark.slow
def test_params_of_a_decoder_are_fixed_with_a_warning():
    images = (np.arange(12).reshape(3, 4) % 3 == 0).astype(int)
    with pytest.warns(NumpygeonsWarning, match=r"param site 'decoder\$params' .*numpyro.sample"):
        pt = pigeons(
            others.decoder, model_args=(images,), n_chains=3, n_rounds=5, show_report=False
        )
    assert {name: a.shape for name, a in pt.samples.items()} == {"z": (32, 3, 2)}


def subsampled():
    models.logistic_of_a_subsample(*LOGIT, subsample_size=8)


DISCRETE = {
    "annotation": (others.annotation, "c"),
    "ssbvm mixture": (others.bivariate_von_mises_mixture, "k"),
    "gaussian shells": (others.gaussian_shells, "shell"),
    "hmm by enumeration": (others.hidden_markov_by_enumeration, "z"),
    "toy mixture": (others.toy_mixture, "first"),
}
REFUSED = {
    "capture-recapture": (others.capture_recapture, "'z' is masked.*take the mask off"),
    "covtype, HMCECS, prodlda": (subsampled, "plate 'n' subsamples 8 of 24.*subsample_size=None"),
    "SVI": (others.parameters_alone, r"'loc', 'scale'.*numpyro\.sample.*lift"),
    "Poisson latent": (others.poisson_latent, "'n' is discrete .*logsumexp over its values"),
}


def assert_refused(model, message, *args):
    with pytest.raises(ModelError, match=message):
        pigeons(model, model_args=args, n_chains=2, n_rounds=1, show_report=False)


@pytest.mark.parametrize("name", REFUSED)
def test_an_example_that_cannot_be_tempered_is_refused_with_the_next_step(name):
    assert_refused(*REFUSED[name])


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_latents_are_refused_without_a_mark_or_without_funsor(name, monkeypatch):
    model, site = DISCRETE[name]
    assert_refused(model, f"'{site}' is discrete .*MixtureSameFamily.*logsumexp.*'parallel'", {})
    monkeypatch.setattr("numpygeons.target.model.enumeration.find_spec", lambda name: None)
    assert_refused(model, rf"'{site}'.*numpygeons-core\[enum\].*logsumexp")
