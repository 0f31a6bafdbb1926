"""The draws in ArviZ's own container, with the model's plates as dimensions."""

import arviz
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from numpygeons import pigeons
from support.small_models import eight_schools, normal


@pytest.fixture(scope="module")
def pt():
    return pigeons(eight_schools, n_chains=4, n_rounds=7, show_report=False)


def test_plates_name_the_dimensions(pt):
    posterior = pt.to_arviz().posterior
    assert posterior["theta"].dims == ("chain", "draw", "school")
    assert posterior["school"].values.tolist() == list(range(8))
    assert dict(posterior.sizes) == {"chain": 1, "draw": 128, "school": 8}
    np.testing.assert_array_equal(posterior["best"].values[0], pt.samples["best"])


def test_sample_stats_hold_the_log_densities(pt):
    stats = pt.to_arviz().sample_stats
    theta, errors = pt.samples["theta"].astype(float), np.array([15, 10, 16, 11, 9, 11, 10, 18.0])
    effects = np.array([28, 8, -3, 7, -1, 1, 18, 12.0])
    v = np.sum(-0.5 * ((effects - theta) / errors) ** 2 - np.log(errors * np.sqrt(2 * np.pi)), 1)
    np.testing.assert_allclose(stats["log_likelihood_total"].values[0], v, rtol=1e-5)
    assert np.all(stats["lp"].values < stats["log_likelihood_total"].values + 50)
    assert np.all(stats["beta"].values == 1)


def test_pointwise_log_likelihoods_are_there_unless_they_are_large(pt, monkeypatch):
    data = pt.to_arviz()
    pointwise = data.log_likelihood["effect"]
    assert pointwise.shape == (1, 128, 8)
    np.testing.assert_allclose(
        pointwise.sum("school").values, data.sample_stats["log_likelihood_total"].values, rtol=1e-5
    )
    assert "log_likelihood" not in pt.to_arviz(log_likelihood=False)
    monkeypatch.setattr("numpygeons.to_arviz.LARGEST_POINTWISE", 128 * 8 * 4 - 1)
    assert "log_likelihood" not in pt.to_arviz()
    assert "log_likelihood" in pt.to_arviz(log_likelihood=True)


def test_loo_sees_the_data_and_never_one_total(pt):
    loo = arviz.loo(pt.to_arviz(), pointwise=True)
    assert loo.n_data_points == 8
    with pytest.raises(Exception, match=r"log.likelihood"):
        arviz.loo(pt.to_arviz(log_likelihood=False))


def test_sites_may_be_called_like_the_statistics():
    def model():
        with numpyro.plate("row", 3):
            beta = numpyro.sample("beta", dist.Normal(0, 1))
        numpyro.sample("lp", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(beta.sum(), 1), obs=0.3)

    data = pigeons(model, n_chains=2, n_rounds=3, show_report=False).to_arviz()
    assert data.posterior["beta"].dims == ("chain", "draw", "row")
    assert data.posterior["lp"].shape == (1, 8)
    assert data.sample_stats["beta"].dims == ("chain", "draw")
    assert np.all(data.sample_stats["beta"].values == 1)


def test_arviz_summarises(pt):
    summary = arviz.summary(pt.to_arviz(), kind="stats")
    assert "theta[0]" in summary.index
    assert summary.loc["mu", "mean"] == pytest.approx(float(pt.samples["mu"].mean()), abs=1e-3)


def test_log_prior_density_includes_the_determinant():
    pt = pigeons(normal, n_chains=2, n_rounds=3, show_report=False)
    x = pt.samples["x"].astype(float)
    lp = pt.to_arviz().sample_stats["lp"].values[0]
    exact = -0.5 * x**2 - 0.5 * (x - 0.5) ** 2 - np.log(2 * np.pi)
    np.testing.assert_allclose(lp, exact, rtol=1e-5)
