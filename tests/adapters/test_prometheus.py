"""The metrics page: what appears with a model, what goes with it, and that clients cannot make it grow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from service.adapters.prometheus.page import Metrics
from service.domain.engines import EngineChoice
from service.domain.jobs import JobState
from service.domain.versions import VersionId

DIGEST, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def samples(metrics: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Every sample of one name, by its labels."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        tuple(sorted(one.labels.items())): one.value
        for family in families
        for one in family.samples
        if one.name == name
    }


def series(metrics: Metrics) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(metrics.render().decode()))


def answer(metrics: Metrics, model: str, version: int | None, signature: str, outcome: str = "ok") -> None:
    metrics.began("rest")
    metrics.answered(model, version, signature, "rest", outcome, 0.01)


def use(metrics: Metrics, version: VersionId, graph: str = DIGEST) -> None:
    """All that happens around one version of one graph."""
    metrics.graph_loaded(graph, 1.0)
    metrics.version_live(version, "base", graph, 1.0)
    answer(metrics, version.model, version.version, "serving_default")
    answer(metrics, version.model, version.version, "serving_default", "InvalidInput")
    answer(metrics, version.model, version.version, "whatever", "SignatureNotFound")
    metrics.batch_ran(graph, "serving_default", 3, 2, 0.001, 0.002)


def test_what_happens_is_on_the_page(metrics: Metrics) -> None:
    use(metrics, VersionId("m", 1))
    requests = samples(metrics, "graft_requests_total")
    labels = {"door": "rest", "model": "m", "outcome": "ok", "signature": "serving_default", "version": "1"}
    assert requests[tuple(sorted(labels.items()))] == 1
    assert samples(metrics, "graft_loaded_graphs") == {(): 1}
    assert list(samples(metrics, "graft_version_live").values()) == [1]
    assert list(samples(metrics, "graft_batch_requests_total").values()) == [2]
    assert list(samples(metrics, "graft_batch_rows_sum").values()) == [3]


@pytest.mark.parametrize("graph", [DIGEST, f"features-of:{DIGEST}", "plain:m@1:stamp", "plain:a:b@1:stamp"])
def test_a_version_and_its_graph_leave_nothing_behind(metrics: Metrics, graph: str) -> None:
    use(metrics, VersionId("m", 1), graph)
    metrics.version_gone(VersionId("m", 1))
    metrics.graph_freed(graph)
    before = series(metrics)
    for number in range(2, 6):
        use(metrics, VersionId("m", number), graph)
        metrics.version_gone(VersionId("m", number))
        metrics.graph_freed(graph)
    assert series(metrics) == before
    assert samples(metrics, "graft_loaded_graphs") == {(): 0}
    page = [line for line in metrics.render().decode().splitlines() if not line.startswith("python_info")]
    assert not [line for line in page if 'version="' in line or 'graph="' in line]


def test_only_the_version_that_went_is_forgotten(metrics: Metrics) -> None:
    use(metrics, VersionId("m", 1), DIGEST)
    use(metrics, VersionId("m", 2), OTHER)
    metrics.version_gone(VersionId("m", 1))
    metrics.graph_freed(DIGEST)
    assert {dict(labels)["version"] for labels in samples(metrics, "graft_request_seconds_count")} == {"2"}
    assert {dict(labels)["graph"] for labels in samples(metrics, "graft_graph_loaded")} == {OTHER[:12]}


def test_graphs_whose_short_names_are_the_same_can_both_go(metrics: Metrics) -> None:
    """A model's name may hold a colon, and digests are only shown by their beginning."""
    for one, other in ((DIGEST, DIGEST[:12] + OTHER), ("plain:a:b@1:s", "plain:a:b@1:t")):
        metrics.graph_loaded(one, 1)
        metrics.graph_loaded(other, 1)
        metrics.graph_freed(one)
        metrics.graph_freed(other)
    assert samples(metrics, "graft_loaded_graphs") == {(): 0}
    assert samples(metrics, "graft_graph_loaded") == {}


def test_changed_files_of_a_version_take_over_its_series(metrics: Metrics) -> None:
    """The old ones are freed after the new ones answer, and must not take the series along."""
    version = VersionId("m", 1)
    metrics.graph_loaded("plain:m@1:old", 1)
    metrics.version_live(version, "plain", "plain:m@1:old", 1)
    metrics.graph_loaded("plain:m@1:new", 1)
    metrics.version_live(version, "base", DIGEST, 1)
    metrics.graph_freed("plain:m@1:old")
    assert {dict(labels)["graph"] for labels in samples(metrics, "graft_graph_loaded")} == {"plain:m@1"}
    assert {dict(labels)["graph"] for labels in samples(metrics, "graft_version_live")} == {DIGEST[:12]}
    metrics.version_gone(version)
    assert samples(metrics, "graft_version_live") == {}


def test_plain_models_with_colons_in_their_names_are_told_apart(metrics: Metrics) -> None:
    metrics.graph_loaded("plain:a:b@1:stamp", 1)
    metrics.graph_loaded("plain:a:c@1:stamp", 1)
    assert {dict(labels)["graph"] for labels in samples(metrics, "graft_graph_loaded")} == {
        "plain:a:b@1",
        "plain:a:c@1",
    }


def test_clients_cannot_make_the_page_grow(metrics: Metrics) -> None:
    """Models, versions and signatures that are not there have no names on it."""
    use(metrics, VersionId("m", 1))
    answer(metrics, "nobody", None, "serving_default", "ModelNotFound")
    before = series(metrics)
    for number in range(50):
        answer(metrics, f"invented-{number}", None, f"s{number}", "ModelNotFound")
        answer(metrics, "m", 1, f"s{number}", "SignatureNotFound")
    assert series(metrics) == before
    assert "invented" not in metrics.render().decode()


def test_version_zero_is_a_version(metrics: Metrics) -> None:
    answer(metrics, "m", 0, "serving_default")
    assert {dict(labels)["version"] for labels in samples(metrics, "graft_request_seconds_count")} == {"0"}


def test_requests_under_way_are_counted_up_and_down(metrics: Metrics) -> None:
    metrics.began("rest")
    metrics.began("rest")
    metrics.answered("m", None, "s", "rest", "ModelNotFound", 0.1)
    assert [value for name in ("graft_requests_in_flight",) for value in samples(metrics, name).values()] == [1]


def test_a_failed_version_is_on_the_page_until_it_is_live_or_gone(metrics: Metrics) -> None:
    for end in ("live", "gone"):
        metrics.version_failed(VersionId("m", 1), "a reason that is no label")
        metrics.version_failed(VersionId("m", 1), "another")
        assert list(samples(metrics, "graft_version_failed").values()) == [1]
        if end == "live":
            metrics.version_live(VersionId("m", 1), "base", DIGEST, 1)
        else:
            metrics.version_gone(VersionId("m", 1))
        assert samples(metrics, "graft_version_failed") == {}
    assert "reason" not in metrics.render().decode()


def test_names_that_need_quoting_are_quoted(metrics: Metrics) -> None:
    answer(metrics, 'a"b\\c\nd', 1, "serving_default")
    assert {dict(labels)["model"] for labels in samples(metrics, "graft_request_seconds_count")} == {'a"b\\c\nd'}


def test_tuning_is_on_the_page(metrics: Metrics) -> None:
    metrics.job_moved(JobState.RUNNING)
    metrics.job_ended(JobState.SUCCEEDED, 12.0)
    metrics.dataset_checked(True, 1000, 0.5)
    metrics.jobs_counted({JobState.QUEUED: 3, JobState.RUNNING: 1})
    metrics.jobs_counted({JobState.RUNNING: 2})
    jobs = {dict(labels)["state"]: count for labels, count in samples(metrics, "graft_jobs").items()}
    assert jobs == {"queued": 0, "validating": 0, "running": 2, "evaluating": 0, "publishing": 0}
    assert samples(metrics, "graft_job_moves_total") == {(("state", "running"),): 1}
    assert samples(metrics, "graft_job_seconds_sum") == {(("state", "succeeded"),): 12}
    assert samples(metrics, "graft_datasets_checked_total") == {(("accepted", "true"),): 1}


def test_what_comes_back_is_counted_from_nought(metrics: Metrics) -> None:
    """Series are remembered where they are counted; what went must not be counted where nobody sees it."""
    version = VersionId("m", 1)
    for _ in range(2):
        use(metrics, version)
        requests = samples(metrics, "graft_requests_total")
        assert sorted(requests.values()) == [1, 1, 1]
        assert list(samples(metrics, "graft_batch_requests_total").values()) == [2]
        metrics.version_gone(version)
        metrics.graph_freed(DIGEST)
        assert samples(metrics, "graft_requests_total") == {}
        assert samples(metrics, "graft_batch_requests_total") == {}


def test_what_runs_each_signature_is_shown_as_long_as_the_graph_is_there(metrics: Metrics) -> None:
    choices = {"a": EngineChoice("openvino", "it agrees", difference=2e-6), "b": EngineChoice("tensorflow", "a string")}
    metrics.graph_loaded(DIGEST, 0.1)
    metrics.engines_chosen(DIGEST, choices)
    engines = {dict(labels)["signature"]: dict(labels)["engine"] for labels in samples(metrics, "graft_engine_info")}
    assert engines == {"a": "openvino", "b": "tensorflow"}
    assert list(samples(metrics, "graft_engine_difference").values()) == [2e-6]
    metrics.graph_freed(DIGEST)
    assert samples(metrics, "graft_engine_info") == samples(metrics, "graft_engine_difference") == {}


@dataclass(frozen=True)
class Read(Collector):
    """A page as it was read, for the library to write again."""

    page: str

    def collect(self) -> Iterable[Metric]:
        return text_string_to_metric_families(self.page)


def test_the_page_in_pieces_is_the_page_that_the_library_writes() -> None:
    metrics = Metrics()
    for number in range(300):
        metrics.version_live(VersionId(f"head{number}", 1), "head", "graph", 0.1)
        answer(metrics, f'head{number} of "a\\b"\nc', 1, "serving_default")
        answer(metrics, f'head{number} of "a\\b"\nc', 1, 'a\n"signature"', "InvalidInput")
    answer(metrics, "nobody", None, "serving_default", "ModelNotFound")
    pieces = [piece.decode() for piece in metrics.pieces()]
    page = "".join(pieces)
    assert page == generate_latest(Read(page)).decode()
    assert len(samples(metrics, "graft_request_seconds_bucket")) == 300 * 17
    assert len(pieces) > 300 * 18 // 200, "one family's samples are more than one piece"
    assert max(piece.count("\n") for piece in pieces) <= 202


def test_the_buckets_of_a_door_are_of_all_its_signatures_and_outcomes(metrics: Metrics) -> None:
    seconds = {"rest": (0.0005, 0.0006, 31.0), "grpc": (0.25,)}
    for door, those in seconds.items():
        for number, took in enumerate(those):
            metrics.began(door)
            metrics.answered("m", 1, f"signature-{number}", door, "ok", took)
    found = samples(metrics, "graft_request_seconds_bucket")
    at_rest = [(dict(labels)["le"], value) for labels, value in found.items() if dict(labels)["door"] == "rest"]
    assert at_rest[:3] == [("0.0005", 1), ("0.001", 2), ("0.002", 2)]
    assert at_rest[-2:] == [("30.0", 2), ("+Inf", 3)]
    assert {
        dict(labels)["door"]: value for labels, value in samples(metrics, "graft_request_seconds_count").items()
    } == {
        "rest": 3,
        "grpc": 1,
    }
    sums = {dict(labels)["door"]: value for labels, value in samples(metrics, "graft_request_seconds_sum").items()}
    assert sums == {door: pytest.approx(sum(those)) for door, those in seconds.items()}


def test_versions_may_come_and_go_while_the_page_is_written(metrics: Metrics) -> None:
    """The loop does other things between two pieces."""
    for number in range(300):
        answer(metrics, f"m{number}", 1, "serving_default")
    written = []
    for number, piece in enumerate(metrics.pieces()):
        written.append(piece.decode())
        metrics.version_gone(VersionId(f"m{299 - number}", 1))
        answer(metrics, f"new-{number}", 1, "serving_default")
    families = text_string_to_metric_families("".join(written))
    counted = [sample for family in families for sample in family.samples if sample.name == "graft_requests_total"]
    assert len(counted) == 300
    assert "m299" not in metrics.render().decode()
