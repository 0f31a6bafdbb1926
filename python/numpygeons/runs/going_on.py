"""Refuses what a run that goes on would have to ignore: it keeps its model and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpygeons.explorers.base import Explorer
from numpygeons.runs.run import Run
from numpygeons.settings import Default, Settings


def refuse_arguments(**arguments: Any) -> None:
    """Raise ValueError for arguments of a model: a run that goes on has its own."""
    for name, value in arguments.items():
        if value:
            raise ValueError(
                f"{name} cannot be given when a run goes on, which has its model and its data: got "
                f"{value!r}; for other data start a new run, pigeons(model, {name}=...)"
            )


def refuse_changes(
    run: Run, settings: Settings, asked: Mapping[str, Any], explorer: Explorer | None
) -> None:
    """Raise ValueError for settings other than the run's. `settings` are those of the call,
    `asked` the same as they were written there: what nobody gave is not compared."""
    had = run.rounds.settings
    given = (name for name, value in asked.items() if not isinstance(value, Default | None))
    for name in sorted(given):
        got, own = getattr(settings, name), getattr(had, name)
        if got != own:
            raise ValueError(f"{name} cannot change when a run goes on: got {got!r}, had {own!r}")
    if explorer is not None and explorer != run.rounds.explorer:
        raise ValueError(
            f"explorer cannot change when a run goes on: got {explorer!r}, "
            f"had {run.rounds.explorer!r}"
        )
