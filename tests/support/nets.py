"""The explorers that every net holds, each with each preconditioner, and the mutants of each.

A new preconditioner is one name in `PRECONDITIONERS`; a new explorer one in `SEARCHED`, if it
takes a preconditioner, or in `OTHERS`, and at least one mutant.
"""

import jax
import numpy as np

from numpygeons import (
    HMC,
    MALA,
    AsymmetricSelector,
    AutoHMC,
    AutoMALA,
    AutoRWMH,
    Compose,
    DensePreconditioner,
    DeterministicSelector,
    DiagonalPreconditioner,
    IdentityPreconditioner,
    Mix,
    MixDiagonalPreconditioner,
    SliceSampler,
)
from numpygeons.explorers import auto_step, compose, slice_sampler
from numpygeons.explorers.base import RoundOutcome, Snapshots, Start
from numpygeons.explorers.hmc_tuning import Plain, Ways
from numpygeons.explorers.tables import Table
from support.exact_start import Everything
from support.mutants import auto_mala_of, hmc_of, mutant

PRECONDITIONERS = {
    "identity": IdentityPreconditioner(),
    "diagonal": DiagonalPreconditioner(),
    "mixed diagonal": MixDiagonalPreconditioner(),
    "dense": DensePreconditioner(),
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
TRAJECTORIES = {"HMC": lambda p: HMC(n_components=0, preconditioner=p)}
PLAIN_HMC = HMC(n_components=0)
OTHERS = {
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
    for name, make in (SEARCHED | TRAJECTORIES).items()
    for kind, preconditioner in PRECONDITIONERS.items()
} | OTHERS


def table_of(explorer, target):
    """The tuning of one chain, with the target's own scale and step."""
    if hasattr(explorer, "explorers"):
        return tuple(table_of(part, target) for part in explorer.explorers)
    start = Start(betas=np.ones(1), centre=np.zeros(target.dimension), scale=np.array(target.scale))
    tuning = explorer.start(start)
    if explorer.n_snapshots(1, target.dimension):
        tuning = fitted(explorer, tuning, target)
    # A covariance is hardly the measure of heavy tails and funnels.
    step = 0.15 * target.step if getattr(tuning, "factor", None) is not None else target.step
    changes = {"step_size": np.array([step]), "length": np.array([3], np.int32)}
    return tuning._replace(**{k: v for k, v in changes.items() if k in tuning._fields})


def tuning_of(explorer, target):
    """What an exploration reads of its only row."""

    def row(table):
        return (table.rows if isinstance(table, Table) else table)[0]

    own = explorer.operands(table_of(explorer, target))
    return jax.tree.map(row, own, is_leaf=lambda node: isinstance(node, Table))


def plain_row(step_size, length, scale):
    """What the exploration of one chain without a mixture reads."""
    return Ways(Plain(step_size=step_size, length=length, scale=scale), None)


def proposals_of(explorer, target):
    """What the core hands out with this tuning."""
    return explorer.proposals(table_of(explorer, target))


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
HMC_MUTANTS = {
    "accepts always": ("jnp.log(uniform) < log_acceptance", "jnp.isfinite(log_acceptance)"),
    "beta of the end": ("log_density(end, beta) - log", "log_density(end, 1.1 * beta) - log"),
    "kinetic energy": ("- jnp.sum(p * p))", "- 0.8 * jnp.sum(p * p))"),
    "momentum": ("Moving(state, noise.normals,", "Moving(state, 1.1 * noise.normals,"),
    "no last half step": ("p = moving.p + 0.5 * step", "p = moving.p + 0.0 * step"),
    "no first half step": ("is_first, 0.5, 1.0", "is_first, 1.0, 1.0"),
}
MIXTURE_MUTANTS = {
    "no ratio of proposals": ("            - proposals.logs[j, 0]\n", ""),
    "ratio to the start": ("+ of_last(walk.last, log_mixture, proposals.logs[:, 0])",
                           "+ log_mixture"),
    "ratio of densities to the start": ("- log_density(walk.here, beta)",
                                        "- log_density(state, beta)"),
    "ratio of regions upside down": ("(same - before)", "(same + before)"),
    "region of the start": ("same = parts[of_last(walk.last, region, proposals.components)]",
                            "same = parts[region]"),
}  # fmt: skip
SLICE_MUTANTS = {
    "no offset": ("-self.window * draw(jnp.uint32(1))", "0.0 * draw(jnp.uint32(1))"),
    "a lower level": ("beta) > level", "beta) > level - 0.2"),
}
SHARED_NOISE = (
    "z, u, p = z + shape.n_normals, u + shape.n_uniforms, p + shape.n_proposals",
    "z, u, p = z, u, p",
)
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
        name: lambda old=old, new=new: hmc_of(old, new).HMC(n_components=0)
        for name, (old, new) in HMC_MUTANTS.items()
    },
    "HMC with a mixture": {
        name: lambda old=old, new=new: hmc_of(old, new).HMC(n_components=3, max_independent=2)
        for name, (old, new) in MIXTURE_MUTANTS.items()
        if "region" not in name  # test_mixture_moves.py catches those
    },
    "slice, stepping out": {name: slice_of(*pair) for name, pair in SLICE_MUTANTS.items()},
    "slice, random": {"a lower level": slice_of(*SLICE_MUTANTS["a lower level"],
                                                directions="random", n_passes=3)},
    "Compose": {
        "shared noise": combination_of(
            "Compose",
            *SHARED_NOISE,
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
