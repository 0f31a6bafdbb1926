"""What tunes explorers between rounds."""

import numpy as np
import numpy.typing as npt

from numpygeons._core import _Object

_Floats = npt.NDArray[np.float64]

class Proposals(_Object):
    """Draws from mixtures of normals, one mixture per chain."""

    def __init__(
        self,
        *,
        log_weights: npt.ArrayLike,
        means: npt.ArrayLike,
        factors: npt.ArrayLike,
        counts: npt.ArrayLike,
        n_most: int,
    ) -> None: ...
    def draw(
        self, *, seed: int, round: int, scan: int, chain: int
    ) -> tuple[_Floats, _Floats, npt.NDArray[np.int32]]: ...

def tuned_steps(
    steps: npt.ArrayLike, acceptance: npt.ArrayLike, target: float, n_scans: int
) -> _Floats: ...
def neighbour_variances(
    old: npt.ArrayLike,
    counts: npt.ArrayLike,
    means: npt.ArrayLike,
    squared_deviations: npt.ArrayLike,
    prior_visits: float,
    skip_first: bool,
) -> _Floats: ...
def carry_over(
    betas: npt.ArrayLike, values: npt.ArrayLike, new_betas: npt.ArrayLike
) -> _Floats: ...
def log_mixture(v: npt.ArrayLike, betas: npt.ArrayLike, log_z: npt.ArrayLike) -> _Floats: ...
def tempered_sample(
    v: npt.ArrayLike,
    log_mixture: npt.ArrayLike,
    beta: float,
    n_points: int,
    least_size: float,
) -> npt.NDArray[np.uint64]: ...
