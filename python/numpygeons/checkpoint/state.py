"""Takes a run between two rounds apart into arrays and a header, and puts it together again.

The same bits come back. The tuning is a pytree of the explorer's making: its leaves are kept, and
its structure is that of `explorer.start`. The evidence is
computed again from V, by who asks for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numpygeons._core.engine import RoundData, UnfinishedRound
from numpygeons.checkpoint.plain import Arrays, put_together, take_apart
from numpygeons.explorers.base import Explorer, Start
from numpygeons.records import RoundRecord
from numpygeons.rounds.online_moments import OnlineMoments
from numpygeons.rounds.run_state import Between, Midway, nowhere
from numpygeons.rounds.same_model import Pilot
from numpygeons.rounds.traces import Traces
from numpygeons.settings import Settings
from numpygeons.target.path import TemperedPath
from numpygeons.target.potential import State

PLAIN = ("chains", "betas", "centres", "scales")  # arrays of `Between`
COUNTS = ("round", "n_restarts", "n_round_trips", "n_zero_likelihood", "snapshot_stride")
MATRICES = (  # arrays of `RoundData`
    "v",
    "replicas",
    "statistic_sums",
    "counts",
    "means",
    "squared_deviations",
    "snapshots",
)
OF_PILOT = ("x", "log_reference", "v")
SO_FAR = ("v", "replicas", "statistic_sums", "snapshots", "moments", "chains")  # UnfinishedRound


class OtherShape(ValueError):
    """TemperedPath or explorer do not fit what was written."""


def to_arrays(state: Between) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a state, by name, and what else there is, as JSON can hold it."""
    arrays: Arrays = {name: np.asarray(getattr(state, name)) for name in PLAIN}
    _put_replicas(arrays, state.replicas)
    leaves = jax.tree.leaves(state.tuning)
    for k, leaf in enumerate(leaves):
        arrays[f"tuning.{k}"] = np.asarray(leaf)
    header: dict[str, Any] = {
        "tuning": ["jax" if isinstance(leaf, jax.Array) else "numpy" for leaf in leaves],
        "records": take_apart(state.records, "records", arrays),
    }
    if state.data is not None:
        data = state.data
        header["data"] = {name: getattr(data, name) for name in COUNTS}
        first = data.first_zero_likelihood
        header["first_zero_likelihood"] = take_apart(first, "first_zero_likelihood", arrays)
        for name in MATRICES:
            arrays[f"data.{name}"] = getattr(data, name)
    if state.traces is not None:
        header["traces"] = _put_traces(arrays, state.traces)
    if state.pilot is not None:
        header["pilot"] = state.pilot.machine
        for name in OF_PILOT:
            arrays[f"pilot.{name}"] = getattr(state.pilot, name)
    return arrays, header


def midway_to_arrays(midway: Midway) -> tuple[Arrays, dict[str, Any]]:
    """Return the same of a round in its middle."""
    arrays: Arrays = {name: getattr(midway.scans, name) for name in SO_FAR}
    _put_replicas(arrays, midway.replicas)
    first = midway.scans.first_zero_likelihood
    header = {
        "n_redrawn": [int(count) for count in midway.drawn],
        "n_done": midway.scans.n_done,
        "n_zero_likelihood": midway.scans.n_zero_likelihood,
        "first_zero_likelihood": take_apart(first, "first_zero_likelihood", arrays),
        "traces": _put_traces(arrays, midway.traces),
    }
    return arrays, header


def midway_from_arrays(
    arrays: Arrays,
    header: dict[str, Any],
    path: TemperedPath,
    explorer: Explorer,
    settings: Settings,
) -> Midway:
    """Return the round in its middle that `midway_to_arrays` took apart. Raises as
    `from_arrays`."""
    replicas = _replicas(arrays, path, explorer)
    traces = _traces(arrays, header["traces"], path, settings)
    assert traces is not None
    parts: dict[str, Any] = {name: arrays[name] for name in SO_FAR}
    scans = UnfinishedRound(
        n_done=header["n_done"],
        n_zero_likelihood=header["n_zero_likelihood"],
        first_zero_likelihood=put_together(header["first_zero_likelihood"], arrays),
        **parts,
    )
    counts = header["n_redrawn"]
    counts = [counts] if isinstance(counts, int) else counts  # of an older version
    counts = [*counts, 0, 0][:3]
    return Midway(replicas=replicas, scans=scans, traces=traces, drawn=np.array(counts))


def _put_replicas(arrays: Arrays, replicas: State) -> None:
    for name, field in replicas._asdict().items():
        arrays[f"replicas.{name}"] = np.asarray(field)


def _put_traces(arrays: Arrays, traces: Traces) -> dict[str, Any]:
    kept = traces.n if traces.keeps_draws else 0
    arrays["traces.x"] = traces.x[:kept]
    arrays["traces.log_reference"] = traces.log_reference[:kept]
    header: dict[str, Any] = {"n": traces.n, "keeps_draws": traces.keeps_draws}
    if traces.online is not None:
        online = traces.online
        header["online"] = {"n": online.n, "sites": list(online.mean)}
        for k, name in enumerate(online.mean):
            arrays[f"online.mean.{k}"] = np.asarray(online.mean[name])
            arrays[f"online.squared.{k}"] = np.asarray(online.squared_deviations[name])
    return header


def from_arrays(
    arrays: Arrays,
    header: dict[str, Any],
    path: TemperedPath,
    explorer: Explorer,
    settings: Settings,
) -> Between:
    """Return the state that `to_arrays` took apart.

    Raises
    ------
    OtherShape
        When the path or the explorer has other shapes than those the run had.
    """
    results = results_from_arrays(arrays, header)
    return replace(
        results,
        replicas=_replicas(arrays, path, explorer),
        tuning=_tuning(arrays, header["tuning"], path, explorer, len(results.betas)),
        traces=_traces(arrays, header.get("traces"), path, settings),
    )


def results_from_arrays(arrays: Arrays, header: dict[str, Any]) -> Between:
    """Return what needs neither path nor explorer: records, V, schedule."""
    records: tuple[RoundRecord, ...] = put_together(header["records"], arrays)
    plain: dict[str, Any] = {name: arrays[name] for name in PLAIN}
    n_chains, dimension = arrays["centres"].shape
    pilot = None
    if "pilot" in header:
        draws: dict[str, Any] = {name: arrays[f"pilot.{name}"] for name in OF_PILOT}
        pilot = Pilot(machine=header["pilot"], **draws)
    return replace(
        nowhere(n_chains, dimension),
        records=records,
        data=_data(arrays, header),
        pilot=pilot,
        **plain,
    )


def _replicas(arrays: Arrays, path: TemperedPath, explorer: Explorer) -> State:
    fields: dict[str, Any] = {name: arrays[f"replicas.{name}"] for name in State._fields}
    replicas = State(**fields)
    gradients = path.dimension if explorer.needs_gradients else 0
    wanted = {"x": path.dimension, "grad_reference": gradients, "grad_v": gradients}
    for name, n in wanted.items():
        field = getattr(replicas, name)
        if field.shape[1] != n or field.dtype != path.dtype:
            raise OtherShape(
                f"the model has another shape than the run had: got {n} numbers of {path.dtype} "
                f"for {name}, wanted {field.shape[1]} of {field.dtype}"
            )
    return replicas


def _tuning(
    arrays: Arrays, kinds: list[str], path: TemperedPath, explorer: Explorer, n: int
) -> Any:
    ones = np.ones(path.dimension)
    start = explorer.start(Start(betas=np.linspace(0, 1, n), centre=ones, scale=ones))
    first, structure = jax.tree.flatten(start)
    leaves = [arrays[f"tuning.{k}"] for k in range(len(kinds))]
    got, wanted = [np.shape(leaf) for leaf in first], [leaf.shape for leaf in leaves]
    if got != wanted:
        raise OtherShape(
            f"{type(explorer).__name__}.start has other shapes than the run had: got {got}, "
            f"wanted {wanted}"
        )
    return jax.tree.unflatten(
        structure,
        [jnp.asarray(a) if kind == "jax" else a for a, kind in zip(leaves, kinds, strict=True)],
    )


def _data(arrays: Arrays, header: dict[str, Any]) -> RoundData | None:
    if "data" not in header:
        return None
    parts: dict[str, Any] = {name: arrays[f"data.{name}"] for name in MATRICES}
    first = put_together(header["first_zero_likelihood"], arrays)
    return RoundData(first_zero_likelihood=first, **header["data"], **parts)


def _traces(arrays: Arrays, plain: Any, path: TemperedPath, settings: Settings) -> Traces | None:
    if plain is None:
        return None
    traces = Traces(path, 0, settings.record)
    traces.x, traces.log_reference = arrays["traces.x"], arrays["traces.log_reference"]
    traces.n, traces.keeps_draws = plain["n"], plain["keeps_draws"]
    if "online" in plain:
        traces.online = online = OnlineMoments()
        online.n = plain["online"]["n"]
        for k, name in enumerate(plain["online"]["sites"]):  # [()]: a number again, where it was
            online.mean[name] = arrays[f"online.mean.{k}"][()]
            online.squared_deviations[name] = arrays[f"online.squared.{k}"][()]
    return traces
