"""Makes what a run starts with: its coordinator, and the state before its first round."""

from __future__ import annotations

import numpy as np

from numpygeons._core.engine import Coordinator
from numpygeons._core.tempering import initial_schedule
from numpygeons.arrays import Floats
from numpygeons.explorers.base import Explorer, Start
from numpygeons.parallel.team import Team
from numpygeons.rounds.adaptation import held_by
from numpygeons.rounds.run_state import Between
from numpygeons.rounds.same_model import Pilot
from numpygeons.rounds.starting_points import robust_location_and_scale
from numpygeons.settings import Settings
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import Replicas

READ_DRAWS = ("traces", "online", "disk")  # recorders that look at the target's states


def coordinator_of(
    path: TemperedPath, explorer: Explorer, settings: Settings, team: Team
) -> Coordinator:
    """Return the core's part of a run, for the ranks and workers of a team."""
    n = settings.n_chains
    noise = explorer.noise(path.dimension)
    return Coordinator(
        seed=settings.seed,
        n_chains=n,
        dimension=path.dimension,
        n_normals=noise.n_normals,
        n_uniforms=noise.n_uniforms,
        n_statistics=len(explorer.statistics),
        hands_out_keys=noise.key,
        n_proposals=noise.n_proposals,
        n_snapshots=explorer.n_snapshots(n, path.dimension),
        records_draws=any(name in settings.record for name in READ_DRAWS),
        ranks=team.ranks.communicator,
        n_workers=team.n_workers(n),
    )


def before_the_first_round(
    replicas: Replicas,
    draws: Floats,
    reference_v: Floats,
    explorer: Explorer,
    pilot: Pilot | None,
) -> Between:
    """Return where a run begins: `draws` from the reference, shape (n, dimension), and their V,
    descending."""
    n = len(replicas.v)
    betas = held_by(initial_schedule(n, reference_v), np.dtype(replicas.x.dtype))
    centre, scale = robust_location_and_scale(draws)
    return Between(
        replicas=replicas,
        chains=np.arange(n, dtype=np.uint32),
        betas=betas,
        tuning=explorer.start(Start(betas=betas, centre=centre, scale=scale)),
        centres=np.tile(centre, (n, 1)),
        scales=np.tile(scale, (n, 1)),
        pilot=pilot,
    )
