"""The page that Prometheus reads, of all that is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service.adapters.prometheus.serving import ServingMetrics
from service.adapters.prometheus.tuning import TuningMetrics

_LINES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Family(Collector):
    """One metric with its samples, as a collector."""

    metric: Metric

    def collect(self) -> Iterable[Metric]:
        """It."""
        return (self.metric,)


class Metrics(ServingMetrics, TuningMetrics):
    """Implements the application's observers, and says what they were told."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for each series, which nobody reads
        self.registry = CollectorRegistry()
        """All that is counted but the requests."""
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        ServingMetrics.__init__(self, self.registry)
        TuningMetrics.__init__(self, self.registry)

    def render(self) -> bytes:
        """The page Prometheus reads."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The same in pieces, so that other things may be done between them."""
        lines = self.requests.lines()
        while piece := "".join(islice(lines, _LINES_AT_ONCE)):
            yield piece.encode()
        for family in self.registry.collect():
            samples, about = family.samples, 0
            for start in range(0, max(1, len(samples)), _LINES_AT_ONCE):
                family.samples = samples[start : start + _LINES_AT_ONCE]
                written = generate_latest(_Family(family))
                yield written[about:]
                about = written.index(b"\n", written.index(b"\n") + 1) + 1  # what it is was said in the first piece
