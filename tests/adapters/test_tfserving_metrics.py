"""TF Serving's metrics page: its names, labels, units and form, fed by what Graft's own observer is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.adapters.tfserving.metrics import TfServingMetrics
from service.application.ports import ServingObserver
from service.domain.versions import VersionId

STATUSES = {"ok": "OK", "ModelNotFound": "NOT_FOUND", "Overloaded": "UNAVAILABLE"}
LINE = re.compile(r':[a-z_:]+\{([A-Za-z_]+="(\\.|[^"\\])*"(,|(?=\})))*\} (\d+(\.\d+)?(e[+-]\d+)?)')
TYPE = re.compile(r"# TYPE :[a-z_:]+ (counter|histogram)")


@pytest.fixture
def metrics() -> TfServingMetrics:
    return TfServingMetrics(STATUSES, "pool")


def samples(metrics: TfServingMetrics) -> dict[str, float]:
    """Every sample by its name and labels, as written."""
    lines = metrics.render().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def busy(metrics: ServingObserver) -> None:
    """A little of everything."""
    directory = Path("/models/m/1")
    metrics.load_attempted(directory, True, 0.5)
    metrics.load_attempted(Path('/models/"odd"\n'), False, 0.25)
    metrics.warmed_up(directory, 3, True, 0.1)
    metrics.version_live(VersionId("m", 1), "plain", "g", 0.5)
    for door, api in (("rest", "predict"), ("grpc", "predict"), ("grpc", "classify")):
        metrics.began(door)
        metrics.answered("m", 1, "serving_default", door, "ok", 0.000_050, api)
    metrics.answered("m", 1, "serving_default", "rest", "Overloaded", 0.1, "predict")
    metrics.answered("invented", None, "serving_default", "rest", "ModelNotFound", 0.1, "predict")
    metrics.batch_ran("g", "serving_default", 3, 2, 0.000_020, 0.001, 1)


def test_requests_are_counted_by_model_and_status_and_timed_in_microseconds(metrics: TfServingMetrics) -> None:
    busy(metrics)
    page = samples(metrics)
    requests, latency = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
    assert page[f'{requests}{{model_name="m",status="OK"}}'] == 3
    assert page[f'{requests}{{model_name="m",status="UNAVAILABLE"}}'] == 1
    assert page[f'{requests}{{model_name="invented",status="NOT_FOUND"}}'] == 1
    for api, entrypoint in (("predict", "REST"), ("Predict", "GRPC"), ("Classify", "GRPC")):
        labels = f'model_name="m",API="{api}",entrypoint="{entrypoint}"'
        assert page[f"{latency}_count{{{labels}}}"] == 1
        assert page[f"{latency}_sum{{{labels}}}"] == pytest.approx(50)
        assert page[f'{latency}_bucket{{{labels},le="32.4"}}'] == 0
        assert page[f'{latency}_bucket{{{labels},le="58.32"}}'] == 1
        assert page[f'{latency}_bucket{{{labels},le="+Inf"}}'] == 1


def test_buckets_are_tf_servings(metrics: TfServingMetrics) -> None:
    busy(metrics)
    bounds = [
        float(bound.replace("+Inf", "inf"))
        for bound in re.findall(
            r'request_latency_bucket\{model_name="m",API="Predict",entrypoint="GRPC",le="([^"]+)"\}',
            metrics.render().decode(),
        )
    ]
    assert bounds == [pytest.approx(10 * 1.8**n, rel=1e-5) for n in range(33)] + [float("inf")]


def test_runs_loads_and_warm_ups_are_counted(metrics: TfServingMetrics) -> None:
    busy(metrics)
    page = samples(metrics)
    serving, batching = ":tensorflow:serving:", ":tensorflow:serving:batching_session:"
    assert page[f'{serving}runtime_latency_sum{{model_name="m",API="Predict",runtime="TF1"}}'] == pytest.approx(1000)
    assert page[f'{batching}queuing_latency_sum{{thread_pool_name="pool"}}'] == pytest.approx(20)
    assert page[f"{batching}wrapped_run_count{{}}"] == 2
    assert page[f'{batching}padding_size_sum{{execution_batch_size="4"}}'] == 1
    assert page[f"{batching}input_batch_size_count{{}}"] == 2
    assert page[f"{batching}processed_batch_size_sum{{}}"] == 4
    assert page[f'{serving}model_warmup_latency_count{{model_path="/models/m/1",status="OK"}}'] == 1
    assert page[f'{serving}model_warmup_records_read{{model_path="/models/m/1"}}'] == 3
    attempts = ":tensorflow:cc:saved_model:load_attempt_count"
    assert page[f'{attempts}{{model_path="/models/m/1",status="success"}}'] == 1
    assert page[f'{attempts}{{model_path="/models/\\"odd\\"\\n",status="fail"}}'] == 1
    assert page[":tensorflow:core:graph_runs{}"] == 1


def test_every_line_has_the_documented_form_and_prometheus_reads_the_page(metrics: TfServingMetrics) -> None:
    busy(metrics)
    page = metrics.render().decode()
    for line in page.splitlines():
        assert (TYPE if line.startswith("#") else LINE).fullmatch(line), line
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families[":tensorflow:serving:request_latency"].type == "histogram"
    assert all(name.startswith(":tensorflow:") for name in families)


def test_before_anything_happened_there_are_only_names(metrics: TfServingMetrics) -> None:
    assert all(TYPE.fullmatch(line) for line in metrics.render().decode().splitlines())


def test_the_page_does_not_grow_without_end(metrics: TfServingMetrics) -> None:
    for number in range(3000):
        metrics.load_attempted(Path(f"/models/m/{number}"), True, 0.1)
    attempts = [name for name in samples(metrics) if "load_attempt_count" in name]
    assert len(attempts) == 1000
    assert 'model_path="/models/m/2999"' in attempts[-1]


def test_a_graph_that_is_freed_is_nobodys(metrics: TfServingMetrics) -> None:
    busy(metrics)
    metrics.graph_freed("g")
    metrics.version_live(VersionId("other", 1), "plain", "g", 0.5)
    metrics.batch_ran("g", "serving_default", 1, 1, 0.0, 0.001, 0)
    assert (
        samples(metrics)[':tensorflow:serving:runtime_latency_count{model_name="other",API="Predict",runtime="TF1"}']
        == 1
    )


def test_names_that_nobody_serves_are_shown_up_to_a_number(metrics: TfServingMetrics) -> None:
    names = [f"invented-{number}" for number in range(150)]
    for name in (*names, "x" * 1000, *names):
        metrics.answered(name, None, "serving_default", "rest", "ModelNotFound", 0.1, "predict")
    counted = [name for name in samples(metrics) if "request_count" in name]
    assert len(counted) == 101
    assert samples(metrics)[':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}'] == 50 + 1 + 50


def test_a_models_series_go_with_its_last_version(metrics: TfServingMetrics) -> None:
    busy(metrics)
    metrics.version_live(VersionId("m", 2), "plain", "h", 0.5)
    metrics.version_gone(VersionId("m", 1))
    metrics.version_gone(VersionId("m", 0))
    assert any('model_name="m"' in name for name in samples(metrics))
    metrics.version_gone(VersionId("m", 2))
    assert not any('model_name="m"' in name for name in samples(metrics))
