"""Requests answered, by version, signature, door and outcome: how many, and how long they took.

One short array a kind of request, and the page is made of them when it is asked for. Of ten thousand heads that are
asked in turn nothing is in the processor's caches when its turn comes, so that each object that is touched to count a
request costs a tenth of a microsecond; the library's counters and histograms are dozens of them, and take kilobytes a
head. The event loop alone counts, and so without a lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from prometheus_client.utils import floatToGoString

from service.domain.versions import VersionId

SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram's buckets; one more has no bound."""

_COUNTER, _HISTOGRAM = "graft_requests_total", "graft_request_seconds"
_NOTHING = array("d", [0.0] * (len(SECONDS) + 2))
"""The seconds of all requests, and how many there are by bucket: beside each other for those that are fast."""
_BOUNDS = [str(floatToGoString(bound)) for bound in (*SECONDS, float("inf"))]  # type: ignore[no-untyped-call]

Kind = tuple[str, int, str, str, str]
"""Model, version, signature, door and outcome."""
Counts: TypeAlias = "array[float]"


class Requests:
    """The counts. For one thread."""

    def __init__(self) -> None:
        self._counts: dict[Kind, Counts] = {}
        self._by_version: dict[VersionId, list[tuple[Kind, Counts]]] = {}
        self._unfound: dict[tuple[str, str], int] = {}

    def count(self, model: str, version: int, signature: str, door: str, outcome: str, seconds: float) -> None:
        """Count a request that a version answered."""
        counts = self._counts.get((model, version, signature, door, outcome))
        if counts is None:
            counts = self._begun((model, version, signature, door, outcome))
        counts[0] += seconds
        counts[1 + bisect_left(SECONDS, seconds)] += 1.0

    def _begun(self, kind: Kind) -> Counts:
        counts = self._counts[kind] = _NOTHING[:]
        self._by_version.setdefault(VersionId(kind[0], kind[1]), []).append((kind, counts))
        return counts

    def count_unfound(self, door: str, outcome: str) -> None:
        """Count a request for what is not served. It has no name here: anyone could invent it."""
        self._unfound[door, outcome] = self._unfound.get((door, outcome), 0) + 1

    def forget(self, version: VersionId) -> None:
        """A version is gone, and so are its series."""
        for kind, _ in self._by_version.pop(version, ()):
            del self._counts[kind]

    def lines(self) -> Iterator[str]:
        """Both families as Prometheus reads them, a line at a time. Between two lines more may be counted."""
        yield f"# HELP {_COUNTER} Predict requests answered.\n"
        yield f"# TYPE {_COUNTER} counter\n"
        for (door, outcome), count in list(self._unfound.items()):
            yield _counted(("", "", "", door, outcome), count)
        for kind, counts in list(self._counts.items()):
            yield _counted(kind, sum(counts[1:]))
        yield f"# HELP {_HISTOGRAM} From finding the version to the answer.\n"
        yield f"# TYPE {_HISTOGRAM} histogram\n"
        for version, kinds in list(self._by_version.items()):
            for door in dict.fromkeys([kind[3] for kind, _ in kinds]):
                at_door = [counts for kind, counts in kinds if kind[3] == door]
                yield from _observed(door, version, [sum(each) for each in zip(*at_door, strict=True)])


def _counted(kind: tuple[str, int | str, str, str, str], count: float) -> str:
    model, version, signature, door, outcome = kind
    return (
        f'{_COUNTER}{{door="{door}",model="{_escaped(model)}",outcome="{outcome}",'
        f'signature="{_escaped(signature)}",version="{version}"}} {_number(count)}\n'
    )


def _observed(door: str, version: VersionId, counts: Sequence[float]) -> Iterator[str]:
    """Buckets that add up, count and sum."""
    first, last = f'door="{door}"', f'model="{_escaped(version.model)}",version="{version.version}"'
    total = 0.0
    for bound, count in zip(_BOUNDS, counts[1:], strict=True):
        total += count
        yield f'{_HISTOGRAM}_bucket{{{first},le="{bound}",{last}}} {_number(total)}\n'
    yield f"{_HISTOGRAM}_count{{{first},{last}}} {_number(total)}\n"
    yield f"{_HISTOGRAM}_sum{{{first},{last}}} {_number(counts[0])}\n"


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
