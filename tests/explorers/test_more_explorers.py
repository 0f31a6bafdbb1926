"""The other searched-step explorers, and the combinations: costs, reports, drivers."""

import numpy as np
import pytest

from numpygeons import (
    HMC,
    MALA,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    Compose,
    DeterministicSelector,
    FixedSelector,
    Mix,
    SliceSampler,
    pigeons,
)
from numpygeons.explorers.base import RoundOutcome, Start
from support.exact_start import Normal, explored
from support.nets import tuning_of

EXPLORERS = {
    "AutoHMC": AutoHMC(n_leapfrog=3),
    "AutoRWMH": AutoRWMH(n_refresh=3),
    "MALA": MALA(n_refresh=2),
    "deterministic": AutoMALA(selector=DeterministicSelector(0.05, 0.9)),
    "Compose": Compose(HMC(n_components=0), AutoRWMH(n_refresh=1), SliceSampler()),
    "Mix": Mix(HMC(n_components=0), AutoMALA(n_refresh=1), SliceSampler()),
}


def test_a_fixed_step_costs_one_gradient():
    copies = explored(MALA(n_refresh=2), Normal(), 1.0, tuning_of(MALA(), Normal()), n=500)
    assert np.all(copies.statistics["n_gradients"] == 2)
    assert np.all(copies.statistics["step_factor"] == 1)
    assert isinstance(MALA().selector, FixedSelector)


def test_a_combination_reports_each_part():
    mix = Mix(AutoMALA(n_refresh=1), SliceSampler())
    copies = explored(mix, Normal(), 1.0, tuning_of(mix, Normal()), n=4_000, n_scans=5)
    shares = np.stack([copies.statistics["0.share"], copies.statistics["1.share"]])
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    assert abs(shares[0].mean() - 0.5) < 6 * 0.5 / np.sqrt(20_000)
    for i, part in enumerate(mix.explorers):
        assert {f"{i}.{name}" for name in part.statistics} <= copies.statistics.keys()
    total = copies.statistics["0.n_gradients"] + copies.statistics["1.n_gradients"]
    np.testing.assert_allclose(copies.statistics["n_gradients"], total)


def test_each_part_of_a_mix_learns_from_its_own_scans():
    mix = Mix(AutoMALA(), AutoMALA())
    start = Start(betas=np.array([0.0, 1.0]), centre=np.zeros(1), scale=np.ones(1))
    statistics = {name: np.ones(2) for name in mix.statistics}
    statistics |= {"0.share": np.array([0.0, 0.25]), "1.share": np.array([0.0, 0.75])}
    statistics |= {"0.step_factor": np.array([0.0, 0.5]), "1.step_factor": np.array([0.0, 0.75])}
    outcome = RoundOutcome(
        round=1,
        n_scans=8,
        betas=start.betas,
        new_betas=start.betas,
        statistics=statistics,
        counts=np.zeros(2),
        means=np.zeros((2, 1)),
        squared_deviations=np.zeros((2, 1)),
    )
    first, second = mix.adapt(mix.start(start), outcome)
    np.testing.assert_allclose(first.step_size, [1, 2])  # 0.5 in a quarter of the scans
    np.testing.assert_allclose(second.step_size, [1, 1])


@pytest.mark.parametrize("combination", [Compose, Mix])
def test_combinations_check_their_parts(combination):
    with pytest.raises(ValueError, match="needs at least one explorer"):
        combination()
    with pytest.raises(TypeError, match="combines explorers such as HMC"):
        combination(HMC)
    assert combination(HMC(n_components=0), AutoMALA()) == combination(
        HMC(n_components=0), AutoMALA()
    )
    assert combination(HMC(n_components=0)) != combination(AutoMALA())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLORERS)
def test_fused_and_stepwise_drivers_agree_in_every_bit(name):
    from support.small_models import coin

    def run(driver):
        return pigeons(
            coin, n_chains=3, n_rounds=6, explorer=EXPLORERS[name], driver=driver, show_report=False
        )

    fused, stepwise = run("fused"), run("stepwise")
    np.testing.assert_array_equal(fused.samples["p1"], stepwise.samples["p1"])
    assert fused.log_z == stepwise.log_z
