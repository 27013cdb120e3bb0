"""Metrics pages of several workers as one: what is counted adds up, and never goes down when a worker is replaced.

The workers run one program, so that a series has the same text on each page, and pages are added line by line. Why not
``prometheus_client``'s multiprocess mode: there the series of a version that is gone stay for ever, and it has no place
for TF Serving's metrics.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ADDED_GAUGES = frozenset(
    {
        "graft_loaded_graphs",
        "graft_requests_in_flight",
        "graft_stuck_runs",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
)
"""What workers have beside each other. Of all other gauges they have the same, and the largest is shown."""
_CREATED = "_created"
_ANSWERED = "graft_requests_total"
_LABEL = re.compile(r'[{,](model|version|graph)="((?:[^"\\]|\\.)*)"')
_THERE = ("graft_version_live{", "graft_version_failed{", "graft_graph_loaded{")


@dataclass(slots=True)
class _Family:
    kind: str = ""
    header: list[str] = field(default_factory=list)
    series: dict[str, float] = field(default_factory=dict)

    def take(self, other: _Family) -> None:
        """Put another worker's series to these."""
        self.kind, self.header = self.kind or other.kind, self.header or other.header
        for series, value in other.series.items():
            self.series[series] = self._together(series, self.series[series], value) if series in self.series else value

    def _together(self, series: str, one: float, other: float) -> float:
        name = series.partition("{")[0]
        if name.endswith(_CREATED):
            return min(one, other)
        return max(one, other) if self.kind == "gauge" and name not in ADDED_GAUGES else one + other


_Page = dict[str, _Family]


class CountedTogether:
    """One kind of page, over workers that come and go."""

    def __init__(self) -> None:
        self._last: dict[object, _Page] = {}
        self._past: _Page = {}

    def collected(self, answers: Mapping[Any, bytes]) -> bytes:
        """One page from those of the workers that gave one; who did not counts with its last."""
        self._last |= {worker: _read(page) for worker, page in answers.items()}
        return _written(_added([*self._last.values(), self._remembered(), self._share_of_each()]))

    def gone(self, worker: object, farewell: bytes | None) -> None:
        """A worker is no more; what it counted stays counted, as far as it is known."""
        last = self._last.pop(worker, {})
        page = _read(farewell) if farewell is not None else last
        counted = {name: family for name, family in page.items() if family.kind != "gauge"}
        self._past = _added([self._past, counted])

    def _share_of_each(self) -> _Page:
        """How the system spread requests over those that are there: by connections, and so not evenly."""
        name = "graft_worker_requests_total"
        header = [f"# HELP {name} Predict requests answered by each worker.", f"# TYPE {name} counter"]
        answered = {
            f'{name}{{worker="{worker}"}}': sum(page[_ANSWERED].series.values())
            for worker, page in self._last.items()
            if _ANSWERED in page
        }
        return {name: _Family("counter", header, answered)} if answered else {}

    def _remembered(self) -> _Page:
        """What those that are gone counted of what is still there."""
        served = {()} | {
            _scope(series)
            for page in self._last.values()
            for family in page.values()
            for series in family.series
            if series.startswith(_THERE)
        }
        return {name: _of(family, served) for name, family in self._past.items()}


def _of(family: _Family, served: Collection[tuple[str, ...]]) -> _Family:
    there = {one: value for one, value in family.series.items() if _scope(one) in served}
    return _Family(family.kind, family.header, there)


def _scope(series: str) -> tuple[str, ...]:
    """The version or graph that a series is about; nothing where it is about neither."""
    labels = dict(_LABEL.findall(series))
    if labels.get("version"):
        return labels.get("model", ""), labels["version"]
    return (labels["graph"],) if "graph" in labels else ()


def _added(pages: Sequence[_Page]) -> _Page:
    total: _Page = {}
    for page in pages:
        for name, family in page.items():
            total.setdefault(name, _Family()).take(family)
    return total


def _read(page: bytes) -> _Page:
    families: _Page = {}
    family = _Family()
    for line in page.decode().splitlines():
        if line.startswith("#"):
            _, word, name, *rest = line.split(" ", 3)
            family = families.setdefault(name, _Family())
            family.header.append(line)
            if word == "TYPE":
                family.kind = rest[0]
        elif line:
            series, _, value = line.rpartition(" ")
            family.series[series] = float(value)
    return families


def _written(page: _Page) -> bytes:
    return ("\n".join(_lines(page.values())) + "\n").encode()


def _lines(families: Iterable[_Family]) -> Iterable[str]:
    for family in families:
        yield from family.header
        for series, value in family.series.items():
            yield f"{series} {value!r}"
