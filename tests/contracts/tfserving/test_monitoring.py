"""5: TensorFlow Serving's monitoring page at its path, with its names."""

from __future__ import annotations

import re

import grpc
import numpy as np
import pytest
from contract_client import Target

PAGE = "/monitoring/prometheus/metrics"
X = {"x": np.array([1.0], np.float32)}


def page(target: Target) -> str:
    """The page."""
    answer = target.rest.get(PAGE)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def sample(text: str, name: str, **labels: str) -> float:
    """The sum of the series that have these labels."""
    found = re.findall(rf"^{re.escape(name)}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return sum(float(value) for said, value in found if all(f'{k}="{v}"' in said for k, v in labels.items()))


def test_request_count(target: Target) -> None:
    """5: by model and status; over REST of every route, unknown models too."""
    before = page(target)
    target.predict("half", X)
    target.rest.post("/v1/models/half:predict", content=b'{"instances": [1]}')
    target.rest.post("/v1/models/nobody:predict", content=b'{"instances": [1]}')
    after = page(target)
    name = ":tensorflow:serving:request_count"
    fine, lost = {"model_name": "half", "status": "OK"}, {"model_name": "nobody", "status": "NOT_FOUND"}
    assert sample(after, name, **fine) - sample(before, name, **fine) == 2
    assert sample(after, name, **lost) - sample(before, name, **lost) == 1


@pytest.mark.parametrize(("api", "entrypoint"), [("Predict", "GRPC"), ("predict", "REST")])
def test_request_latency(target: Target, api: str, entrypoint: str) -> None:
    """5: a histogram in microseconds whose API label is written in two ways."""
    if entrypoint == "GRPC":
        target.predict("half", X)
    else:
        target.rest.post("/v1/models/half:predict", content=b'{"instances": [1]}')
    text = page(target)
    labels = {"model_name": "half", "API": api, "entrypoint": entrypoint}
    count = sample(text, ":tensorflow:serving:request_latency_count", **labels)
    assert count >= 1
    assert sample(text, ":tensorflow:serving:request_latency_bucket", **labels, le="+Inf") == count
    assert 10 * count < sample(text, ":tensorflow:serving:request_latency_sum", **labels) < 60e6 * count


def test_the_page_is_text_of_prometheus(target: Target) -> None:
    """5: TYPE lines, then samples; the names begin with a colon."""
    target.predict("half", X)
    kinds = dict(re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", page(target), re.MULTILINE))
    assert kinds[":tensorflow:serving:request_count"] == "counter"
    assert kinds[":tensorflow:serving:request_latency"] == "histogram"


@pytest.mark.parametrize("name", [":tensorflow:cc:saved_model:load_attempt_count"])
def test_loads_are_counted(target: Target, name: str) -> None:
    """5: of every model path."""
    assert sample(page(target), name) >= 1


def test_failed_calls_are_counted_by_status(target: Target) -> None:
    """5: gRPC's name of the code is the status."""
    before = page(target)
    with pytest.raises(grpc.RpcError):
        target.predict("half", {})
    labels = {"model_name": "half", "status": "INVALID_ARGUMENT"}
    name = ":tensorflow:serving:request_count"
    assert sample(page(target), name, **labels) - sample(before, name, **labels) == 1
