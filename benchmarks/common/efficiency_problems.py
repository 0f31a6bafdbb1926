"""Names the problems of the efficiency table, with what is known of their answers."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from common.problem import ROOT, Problem, reference_folder

TITLES = {
    "eight_schools": "eight schools, centred, f32",
    "coin": "unidentifiable coin, f64",
    "mrna": "mRNA M1a, f64",
    "two_modes": "two modes in 10 d, f32",
    "normal_50": "conjugate normal in 50 d, f32",
}
MRNA = Path("problems") / "data" / "mrna.json"


def uses_x64(name: str) -> bool:
    """Whether the problem is run in double precision; asked before JAX makes an array."""
    return name in ("coin", "mrna")


def mrna_file() -> Path:
    """Where the mRNA data are expected."""
    return reference_folder() / MRNA


def missing(name: str) -> str | None:
    """Why the problem cannot be run here; None if it can."""
    if name == "mrna" and not mrna_file().is_file():
        return f"no data: {MRNA} is sought in NUMPYGEONS_REFERENCE or ../shared/reference"
    return None


def problem(name: str) -> Problem:
    """The problem of that name, its arrays in JAX's precision at this moment."""
    return {
        "eight_schools": _eight_schools,
        "coin": _coin,
        "mrna": _mrna,
        "two_modes": _two_modes,
        "normal_50": _normal_50,
    }[name]()


def _eight_schools() -> Problem:
    """Centred: a funnel in 10 dimensions. Answers by quadrature."""
    sys.path.insert(0, str(ROOT / "examples"))
    from eight_schools import EFFECTS, ERRORS, eight_schools

    return Problem(
        model=eight_schools,
        model_args=(EFFECTS, ERRORS),
        n_chains=4,
        n_rounds=16,
        log_z=-31.311347,
        means={"mu": 4.39682, "tau": 3.59771},
    )


def _coin() -> Problem:
    """Only the product of the two probabilities is known: a curved, sharp ridge."""
    import numpyro
    import numpyro.distributions as dist

    def coin(n, y):
        p1 = numpyro.sample("p1", dist.Uniform(0, 1))
        p2 = numpyro.sample("p2", dist.Uniform(0, 1))
        numpyro.sample("y", dist.Binomial(n, p1 * p2), obs=y)

    return Problem(
        model=coin,
        model_args=(100_000, 50_000),
        n_chains=12,
        n_rounds=16,
        log_z=-11.879441,
    )


def _mrna() -> Problem:
    """Two modes of equal weight, by symmetry of the two rates."""
    sys.path.insert(0, str(ROOT / "examples"))
    from mrna import mrna

    data = json.loads(mrna_file().read_text())
    return Problem(
        model=mrna,
        model_args=(np.asarray(data["t"]), np.asarray(data["y"])),
        n_chains=20,
        n_rounds=13,
        log_z=-370.6795,
        mode=lambda samples: samples["lbeta"] < samples["ldelta"],
        mode_weight=0.5,
    )


def log_two_modes(x: Any) -> Any:
    """log[.7 N(x; 5, I) + .3 N(x; -5, I)], over the last axis."""
    import jax.numpy as jnp

    def mode(weight, centre):
        n = x.shape[-1]
        quadratic = jnp.sum((x - centre) ** 2, axis=-1)
        return jnp.log(weight) - 0.5 * quadratic - 0.5 * n * jnp.log(2 * jnp.pi)

    return jnp.logaddexp(mode(0.7, 5.0), mode(0.3, -5.0))


def _two_modes() -> Problem:
    """Two narrow modes far from each other under a wide prior."""
    import numpyro
    import numpyro.distributions as dist

    def two_modes():
        x = numpyro.sample("x", dist.Normal(0, 10).expand([10]).to_event(1))
        numpyro.factor("modes", log_two_modes(x))

    return Problem(
        model=two_modes,
        n_chains=14,
        n_rounds=16,
        log_z=-33.5026117,
        mode=lambda samples: samples["x"].sum(axis=-1) > 0,
        mode_weight=0.7,
    )


def _normal_50() -> Problem:
    """Conjugate: nothing hard but the dimension."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def normal_50(y):
        x = numpyro.sample("x", dist.Normal(0, 2).expand([len(y)]).to_event(1))
        numpyro.sample("y", dist.Normal(x, 1).to_event(1), obs=y)

    return Problem(
        model=normal_50,
        model_args=(jnp.full(50, 2.0),),
        n_chains=12,
        n_rounds=17,
        log_z=-106.1828745,
        means={"x": 1.6},
    )
