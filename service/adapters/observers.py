"""Telling several observers the same: each is told everything, in the order given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service.application.ports import ServingObserver
from service.domain.engines import EngineChoice
from service.domain.versions import VersionId


class Observers:
    """Implements the serving observer by passing on what it is told."""

    def __init__(self, *observers: ServingObserver) -> None:
        self._all = observers

    def began(self, door: str) -> None:
        """Pass it on."""
        for one in self._all:
            one.began(door)

    def answered(
        self, model: str, version: int | None, signature: str, door: str, outcome: str, seconds: float, api: str
    ) -> None:
        """Pass it on."""
        for one in self._all:
            one.answered(model, version, signature, door, outcome, seconds, api)

    def batch_ran(
        self, graph: str, signature: str, rows: int, requests: int, waited: float, ran: float, filled: int
    ) -> None:
        """Pass it on."""
        for one in self._all:
            one.batch_ran(graph, signature, rows, requests, waited, ran, filled)

    def run_rows_chosen(self, graph: str, signature: str, rows: int) -> None:
        """Pass it on."""
        for one in self._all:
            one.run_rows_chosen(graph, signature, rows)

    def runs_stuck(self, graph: str, signature: str, runs: int) -> None:
        """Pass it on."""
        for one in self._all:
            one.runs_stuck(graph, signature, runs)

    def graph_loaded(self, graph: str, seconds: float) -> None:
        """Pass it on."""
        for one in self._all:
            one.graph_loaded(graph, seconds)

    def engines_chosen(self, graph: str, choices: Mapping[str, EngineChoice]) -> None:
        """Pass it on."""
        for one in self._all:
            one.engines_chosen(graph, choices)

    def graph_freed(self, graph: str) -> None:
        """Pass it on."""
        for one in self._all:
            one.graph_freed(graph)

    def load_attempted(self, directory: Path, loaded: bool, seconds: float) -> None:
        """Pass it on."""
        for one in self._all:
            one.load_attempted(directory, loaded, seconds)

    def warmed_up(self, directory: Path, records: int, answered: bool, seconds: float) -> None:
        """Pass it on."""
        for one in self._all:
            one.warmed_up(directory, records, answered, seconds)

    def version_live(self, version: VersionId, kind: str, graph: str, seconds: float) -> None:
        """Pass it on."""
        for one in self._all:
            one.version_live(version, kind, graph, seconds)

    def version_failed(self, version: VersionId, reason: str) -> None:
        """Pass it on."""
        for one in self._all:
            one.version_failed(version, reason)

    def version_gone(self, version: VersionId) -> None:
        """Pass it on."""
        for one in self._all:
            one.version_gone(version)
