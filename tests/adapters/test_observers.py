"""Several observers told the same."""

from __future__ import annotations

from pathlib import Path

from serving_fakes import RecordingObserver

from service.adapters.observers import Observers
from service.domain.engines import EngineChoice
from service.domain.versions import VersionId


def test_each_is_told_everything_in_order() -> None:
    one, other = RecordingObserver(), RecordingObserver()
    both, version = Observers(one, other), VersionId("m", 1)
    both.began("rest")
    both.answered("m", 1, "s", "rest", "ok", 0.1, "predict")
    both.batch_ran("g", "s", 3, 2, 0.0, 0.1, 1)
    both.load_attempted(Path("/m"), True, 0.1)
    both.graph_loaded("g", 0.1)
    both.engines_chosen("g", {"s": EngineChoice("openvino", "it agrees")})
    both.run_rows_chosen("g", "s", 4)
    both.runs_stuck("g", "s", 1)
    both.graph_freed("g")
    both.warmed_up(Path("/m"), 1, True, 0.1)
    both.version_live(version, "plain", "g", 0.1)
    both.version_failed(version, "torn")
    both.version_gone(version)
    assert one.events == other.events
    told = {event[0] for event in one.events}
    assert told == {name for name in vars(Observers) if not name.startswith("_")}
