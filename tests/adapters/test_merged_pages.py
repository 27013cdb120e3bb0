"""Metrics of several workers on one page: what adds up, what does not, and what stays when a worker is lost."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.adapters.crew.merged_pages import ADDED_GAUGES, CountedTogether
from service.adapters.prometheus.page import Metrics
from service.adapters.tfserving.metrics import TfServingMetrics
from service.domain.versions import VersionId

VERSION = VersionId("m", 1)


def worker(requests: int, *, live: bool = True, seconds: float = 0.003) -> Metrics:
    """A worker's metrics after so many requests."""
    metrics = Metrics()
    if live:
        metrics.graph_loaded("plain:m@1", 1.0)
        metrics.version_live(VERSION, "plain", "plain:m@1", 1.0)
    for _ in range(requests):
        metrics.began("rest")
        metrics.answered("m", 1, "serving_default", "rest", "ok", seconds)
    return metrics


def values(page: bytes, name: str, label: str | None = None) -> dict[str, float]:
    """The samples of one name, by one label or by all."""
    return {
        ",".join(sample.labels.values()) if label is None else sample.labels.get(label, ""): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name == name
    }


def total(page: bytes, name: str = "graft_requests_total") -> float:
    return sum(values(page, name).values())


def test_counters_and_histograms_add_up_and_say_whose_they_are() -> None:
    page = CountedTogether().collected({"0": worker(3).render(), "1": worker(4, seconds=0.1).render()})
    assert total(page) == 7
    assert values(page, "graft_request_seconds_count", "le") == {"": 7}
    buckets = values(page, "graft_request_seconds_bucket", "le")
    assert (buckets["0.004"], buckets["+Inf"]) == (3, 7)
    assert values(page, "graft_worker_requests_total") == {"0": 3, "1": 4}


def test_of_gauges_memory_adds_up_and_what_all_have_is_there_once() -> None:
    pages = {str(number): worker(0).render() for number in range(2)}
    merged = CountedTogether().collected(pages)
    assert list(values(merged, "graft_version_live").values()) == [1]
    assert total(merged, "graft_loaded_graphs") == 2
    each = [total(page, "process_resident_memory_bytes") for page in pages.values()]
    assert total(merged, "process_resident_memory_bytes") == sum(each)
    assert total(merged, "process_start_time_seconds") == total(pages["0"], "process_start_time_seconds")


def test_a_page_that_merges_one_worker_is_that_workers_page() -> None:
    page = worker(5).render()
    merged = CountedTogether().collected({"0": page})
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            assert values(merged, sample.name)[",".join(sample.labels.values())] == pytest.approx(sample.value)


def test_nothing_goes_down_when_a_worker_is_lost_and_another_takes_its_place() -> None:
    together = CountedTogether()
    one, other = worker(3), worker(4)
    assert total(together.collected({"first": one.render(), "other": other.render()})) == 7
    together.gone("first", None)
    assert total(together.collected({"other": other.render()})) == 7
    assert total(together.collected({"second": worker(2).render(), "other": other.render()})) == 9
    together.gone("second", worker(5).render())
    assert total(together.collected({"other": other.render()})) == 12


def test_what_was_counted_of_a_version_goes_when_the_version_is_gone_everywhere() -> None:
    together = CountedTogether()
    one, other = worker(3), worker(4)
    together.collected({"one": one.render(), "other": other.render()})
    together.gone("one", None)
    other.version_gone(VERSION)
    other.graph_freed("plain:m@1")
    page = together.collected({"other": other.render()})
    assert values(page, "graft_requests_total") == {}
    assert values(page, "graft_request_seconds_count") == {}


def test_a_worker_that_does_not_answer_counts_with_its_last_page() -> None:
    together = CountedTogether()
    together.collected({"slow": worker(3).render(), "other": worker(1).render()})
    assert total(together.collected({"other": worker(2).render()})) == 5


def test_tf_servings_page_adds_up_too() -> None:
    pages = {}
    for name in ("0", "1"):
        metrics = TfServingMetrics({"ok": "OK"})
        metrics.version_live(VERSION, "plain", "g", 1.0)
        metrics.answered("m", 1, "serving_default", "rest", "ok", 0.1, "predict")
        pages[name] = metrics.render()
    lines = CountedTogether().collected(pages).decode().splitlines()
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 2.0' in lines
    assert "# TYPE :tensorflow:serving:request_count counter" in lines


def test_for_every_gauge_there_is_a_decision() -> None:
    """Whoever adds a gauge says here whether workers have it beside each other or all the same."""
    the_same = {
        "graft_version_live",
        "graft_version_failed",
        "graft_graph_loaded",
        "graft_jobs",
        "graft_batch_max_rows",
        "graft_engine_difference",
        "graft_engine_info",
    }
    gauges = {one.name for one in Metrics().registry.collect() if one.type == "gauge" and one.name[:6] == "graft_"}
    assert gauges == {one for one in ADDED_GAUGES if one[:6] == "graft_"} | the_same
