"""The explorers that every net holds, each with each preconditioner, and the mutants of each.

A new preconditioner is one name in `PRECONDITIONERS`; a new explorer one in `SEARCHED`, if it
takes a preconditioner, or in `OTHERS`, and at least one mutant.
"""

import numpy as np
from exact_start import Everything
from mutants import auto_mala_of, hmc_of, mutant

from numpygeons import (
    HMC,
    MALA,
    AsymmetricSelector,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    Compose,
    DeterministicSelector,
    DiagonalPreconditioner,
    IdentityPreconditioner,
    Mix,
    MixDiagonalPreconditioner,
    SliceSampler,
)
from numpygeons.explorers import auto_step, compose, hmc, leapfrog, slice_sampler
from numpygeons.explorers.base import RoundOutcome, Snapshots, Start

PRECONDITIONERS = {
    "identity": IdentityPreconditioner(),
    "diagonal": DiagonalPreconditioner(),
    "mixed diagonal": MixDiagonalPreconditioner(),
}
ASYMMETRIC = AsymmetricSelector()
SEARCHED = {
    "AutoMALA": lambda p: AutoMALA(n_refresh=2, preconditioner=p),
    "AutoMALA asymmetric": lambda p: AutoMALA(n_refresh=2, preconditioner=p, selector=ASYMMETRIC),
    "AutoMALA deterministic": lambda p: AutoMALA(
        preconditioner=p, selector=DeterministicSelector(0.05, 0.9)
    ),
    "AutoHMC": lambda p: AutoHMC(n_leapfrog=3, preconditioner=p),
    "AutoRWMH": lambda p: AutoRWMH(n_refresh=3, preconditioner=p),
    "MALA": lambda p: MALA(n_refresh=2, preconditioner=p),
}
PLAIN_HMC = HMC(n_components=0)
OTHERS = {
    "HMC": PLAIN_HMC,
    "HMC with a mixture": HMC(n_components=3, max_independent=2),
    "slice, stepping out": SliceSampler(),
    "slice, narrow": SliceSampler(window=0.2, max_expansions=5),
    "slice, doubling": SliceSampler(expansion="doubling", window=1.0),
    "slice, random": SliceSampler(directions="random", n_passes=3),
    "slice, random doubling": SliceSampler(directions="random", expansion="doubling", n_passes=2),
    "Compose": Compose(PLAIN_HMC, AutoRWMH(n_refresh=1), SliceSampler()),
    "Mix": Mix(PLAIN_HMC, AutoMALA(n_refresh=1), SliceSampler()),
}
CASES = {
    f"{name}, {kind}": make(preconditioner)
    for name, make in SEARCHED.items()
    for kind, preconditioner in PRECONDITIONERS.items()
} | OTHERS


def tuning_of(explorer, target):
    """One row of the tuning, with the target's own scale and step."""
    if hasattr(explorer, "explorers"):
        return tuple(tuning_of(part, target) for part in explorer.explorers)
    start = Start(betas=np.ones(1), centre=np.zeros(target.dimension), scale=np.array(target.scale))
    tuning = explorer.start(start)
    if explorer.n_snapshots(1, target.dimension):
        tuning = fitted(explorer, tuning, target)
    changes = {"step_size": np.array([target.step]), "length": np.array([3], np.int32)}
    tuning = tuning._replace(**{k: v for k, v in changes.items() if k in tuning._fields})
    return type(tuning)(*(take_row(field) for field in tuning))


def take_row(field):
    return type(field)(*map(take_row, field)) if isinstance(field, tuple) else field[0]


def fitted(explorer, tuning, target, rounds=(4, 5)):
    """The tuning once the explorer has seen draws at beta = 0.3, a poor fit elsewhere."""
    betas, rng = np.array([0.3]), np.random.default_rng(8)
    x = target.draw(rng, betas[0], 256)
    for number in rounds:
        outcome = RoundOutcome(
            round=number,
            n_scans=256,
            betas=betas,
            new_betas=betas,
            statistics={name: np.array([0.8]) for name in explorer.statistics},
            counts=np.array([256.0]),
            means=np.median(x, axis=0)[None],
            squared_deviations=256 * np.array(target.scale)[None] ** 2,
            snapshots=Snapshots(x=x[:, None], v=np.zeros((256, 1)), log_z=np.zeros(1)),
        )
        tuning = explorer.adapt(tuning, outcome)
    return tuning


# Mutants, by the explorer that the exact start must refuse. Each is made when it is asked for.

# A backward search that starts to double after a forward search that stayed: a trap, since under
# the asymmetric selector it may step back at once, and must pass.
EARLY_REJECTION = (
    "jnp.where(growing, e > search.forward, e <= search.forward)",
    "jnp.where(growing, (e > search.forward) | (search.forward <= 0), e <= search.forward)",
)
NO_CHECK = ("passed=ends_backward & (found == search.forward)", "passed=ends_backward")
PROBABILITY = "jnp.minimum(1, jnp.exp(search.difference)), 0)"
SEARCH_MUTANTS = {
    "no check": NO_CHECK,
    "accepts whatever passes": (PROBABILITY, "1.0, 0)"),
    "wrong difference": (PROBABILITY, "jnp.minimum(1, jnp.exp(2 * search.difference)), 0)"),
}
HALF_STEP = "return there, p + 0.5 * step * scale * gradient(there, beta)"
HMC_MUTANTS = {
    "accepts always": ("jnp.log(noise.uniforms[1]) < difference", "jnp.isfinite(difference)"),
    "beta of the end": ("log_density(end, beta) - 0.5", "log_density(end, 1.1 * beta) - 0.5"),
    "kinetic energy": ("- 0.5 * jnp.sum(p_end * p_end)", "- 0.4 * jnp.sum(p_end * p_end)"),
    "momentum": ("p = noise.normals\n", "p = 1.1 * noise.normals\n"),
}
MIXTURE_MUTANTS = {
    "no ratio of proposals": ("                + totals\n", ""),
    "no ratio of regions": ("jnp.where(independent, 0, own + kinetic)",
                            "jnp.where(independent, 0, kinetic - totals)"),
    "region of the start": ("lambda: pick(parts, u_region), lambda: walk.region)",
                            "lambda: walk.region, lambda: walk.region)"),
}  # fmt: skip
SLICE_MUTANTS = {
    "no offset": ("-self.window * draw(jnp.uint32(1))", "0.0 * draw(jnp.uint32(1))"),
    "a lower level": ("beta) > level", "beta) > level - 0.2"),
}
NO_TEST = ("found, n = found & reachable, n + more", "found, n = found, n + more")


def search_mutants(make):
    return {
        name: lambda old=old, new=new: make(mutant(auto_step, old, new))
        for name, (old, new) in SEARCH_MUTANTS.items()
    }


def mala_of(search):
    return auto_mala_of(search)(n_refresh=2, selector=MALA().selector)


def random_walk_of(search):
    class Mutant(search.AutoStep):
        needs_gradients = False
        _trial = AutoRWMH._trial

    return Mutant(n_refresh=3)


def trajectories_of(search):
    class Mutant(search.AutoStep):
        n_leapfrog = 3
        _gradients_per_trial = 3
        _trial = AutoHMC._trial

    return Mutant(n_refresh=1)


def combination_of(name, old, new, parts=None):
    parts = parts or OTHERS[name].explorers
    return lambda: getattr(mutant(compose, old, new), name)(*parts)


def slice_of(old, new, **settings):
    return lambda: mutant(slice_sampler, old, new).SliceSampler(**settings)


MUTANTS = {
    "AutoMALA": search_mutants(lambda search: auto_mala_of(search)(n_refresh=2)),
    "AutoMALA asymmetric": search_mutants(
        lambda search: auto_mala_of(search)(n_refresh=2, selector=ASYMMETRIC)
    )
    | {
        "early rejection": lambda: auto_mala_of(mutant(auto_step, *EARLY_REJECTION))(
            selector=ASYMMETRIC
        )
    },
    "AutoMALA deterministic": {
        "no check": lambda: auto_mala_of(mutant(auto_step, *NO_CHECK))(
            selector=DeterministicSelector(0.05, 0.9)
        )
    },
    "AutoHMC": search_mutants(trajectories_of),
    "AutoRWMH": search_mutants(random_walk_of),
    "MALA": {
        "accepts whatever passes": search_mutants(mala_of)["accepts whatever passes"],
        "wrong difference": search_mutants(mala_of)["wrong difference"],
    },
    "HMC": {
        name: lambda old=old, new=new: mutant(hmc, old, new).HMC(n_components=0)
        for name, (old, new) in HMC_MUTANTS.items()
    }
    | {"no last half step": lambda: hmc_of(mutant(leapfrog, HALF_STEP, "return there, p"))},
    "HMC with a mixture": {
        name: lambda old=old, new=new: mutant(hmc, old, new).HMC(n_components=3, max_independent=2)
        for name, (old, new) in MIXTURE_MUTANTS.items()
    },
    "slice, stepping out": {name: slice_of(*pair) for name, pair in SLICE_MUTANTS.items()},
    "slice, random": {"a lower level": slice_of(*SLICE_MUTANTS["a lower level"],
                                                directions="random", n_passes=3)},
    "Compose": {
        "shared noise": combination_of(
            "Compose",
            "z, u = z + shape.n_normals, u + shape.n_uniforms",
            "z, u = z, u",
            [AutoRWMH(n_refresh=1), AutoRWMH(n_refresh=1)],
        )
    },
    "Mix": {
        "a choice that looks at the state": combination_of(
            "Mix", "jax.lax.switch(chosen,", "jax.lax.switch(chosen * (state.x[0] > 0),"
        )
    },
}  # fmt: skip
TARGET = Everything()
