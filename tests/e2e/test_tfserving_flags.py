"""A real server started with TF Serving's own command line and files, and called by TF Serving's own clients."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import grpc
import numpy as np
import pytest
import saved_models
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families
from real_server import ENVIRONMENT, GRAFT, Server, until
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc

pytestmark = pytest.mark.e2e

ROWS = np.ones((2, 3), np.float32)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with these words and nothing but free ports beside them; all are gone when the test ends."""
    servers: list[Server] = []

    def started(*words: str) -> Server:
        log = tmp_path / f"server-{len(servers)}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [GRAFT, "serve", "--port=0", "--rest_api_port=0", *words],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=ENVIRONMENT,
                cwd=tmp_path,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"REST (\S+)  gRPC (\S+)", line)
        assert found, f"the server said {line!r}; its log: {log.read_text()}"
        rest, rpc = (address.replace("0.0.0.0", "localhost") for address in found.groups())
        servers.append(Server(process, log, rest, rpc))
        return servers[-1]

    yield started
    for server in servers:
        server.http.close()
        server.kill()
        if server.process.stdout is not None:
            server.process.stdout.close()


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    """The base path of one model with one version."""
    saved_models.scaling(tmp_path / "models" / "scaling" / "1")
    return tmp_path / "models" / "scaling"


def predict(channel: grpc.Channel, model: str, rows: np.ndarray) -> predict_pb2.PredictResponse:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(rows))
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)


def inline(pem: str) -> str:
    return "\n".join(f'"{line}\\n"' for line in pem.splitlines())


def test_one_model_as_the_docker_image_starts_it(start: Callable[..., Server], base_path: Path, tmp_path: Path) -> None:
    saved_models.scaling(tmp_path / "models" / "other" / "1")
    server = start(
        *("--model_name=half", f"--model_base_path={base_path}", "--rest_api_enable_cors_support"),
        *("--grpc_max_threads=4", "--enable_serialization_as_tensor_content=true"),
    ).ready()
    answer = server.http.post("/v1/models/half:predict", json={"instances": ROWS.tolist()})
    assert answer.json() == {"predictions": (ROWS * 2 + 1).tolist()}
    assert answer.headers["access-control-allow-origin"] == "*"
    assert [model["name"] for model in server.http.get("/v1/models").json()["models"]] == ["half"]
    assert server.http.post("/v1/models/half:tune").status_code == 404, "there is nowhere to publish"
    with server.channel() as channel:
        outputs = predict(channel, "half", ROWS).outputs
    assert outputs["y"].tensor_content == (ROWS * 2 + 1).tobytes()
    assert "--grpc_max_threads=4 is ignored: both doors run on one event loop" in server.log.read_text()


def test_batching_warm_up_and_monitoring_by_its_files(
    start: Callable[..., Server], base_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "batching").write_text("max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 4")
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: '/monitoring/prometheus/metrics' }")
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(ROWS))
    records = base_path / "1" / "assets.extra" / "tf_serving_warmup_requests"
    records.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(records)) as writer:
        writer.write(log.SerializeToString())
    server = start(
        *("--model_name=m", f"--model_base_path={base_path}", "--enable_batching"),
        *(f"--batching_parameters_file={tmp_path}/batching", f"--monitoring_config_file={tmp_path}/monitoring"),
    ).ready()
    predicted = server.http.post("/v1/models/m:predict", json={"instances": ROWS[:1].tolist()})
    assert predicted.json() == {"predictions": (ROWS[:1] * 2 + 1).tolist()}
    refused = server.http.post("/v1/models/m:predict", json={"instances": [[1, 1, 1]] * 5})
    assert refused.status_code == 400
    assert "Task size 5 is larger than maximum input batch size 4" in refused.json()["error"]

    page = server.http.get("/monitoring/prometheus/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(page)}
    counted = {tuple(one.labels.values()): one.value for one in families[":tensorflow:serving:request_count"].samples}
    assert counted == {("m", "OK"): 1, ("m", "INVALID_ARGUMENT"): 1}
    padding = {
        one.labels.get("execution_batch_size")
        for one in families[":tensorflow:serving:batching_session:padding_size"].samples
    }
    assert padding == {"2"}, "one row ran as two"
    read = families[":tensorflow:serving:model_warmup_records_read"].samples[0]
    assert (read.labels["model_path"], read.value) == (str(base_path / "1"), 1)
    assert "graft_requests" in families, "Graft's own stand beside them"


def test_a_warm_up_record_that_fails_keeps_the_version_from_answering(
    start: Callable[..., Server], base_path: Path
) -> None:
    records = base_path / "1" / "assets.extra" / "tf_serving_warmup_requests"
    records.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(records)) as writer:
        writer.write(b"\xff")
    server = start("--model_name=m", f"--model_base_path={base_path}")

    def error() -> str | None:
        status = server.http.get("/v1/models/m")
        if status.status_code != 200:
            return None
        return str(status.json()["model_version_status"][0]["status"]["error_message"]) or None

    assert "record 1" in until("the version fails", error)
    warmless = start("--model_name=m", f"--model_base_path={base_path}", "--enable_model_warmup=false").ready()
    assert warmless.http.post("/v1/models/m:predict", json={"instances": ROWS.tolist()}).status_code == 200


def test_grpc_over_tls_and_a_socket_alone(start: Callable[..., Server], base_path: Path, tmp_path: Path) -> None:
    (tmp_path / "ssl").write_text(
        f"server_key: {inline(certificates.SERVER_KEY)}\nserver_cert: {inline(certificates.SERVER_CERTIFICATE)}\n"
        f"custom_ca: {inline(certificates.AUTHORITY)}\nclient_verify: true\n"
    )
    named = ("--model_name=m", f"--model_base_path={base_path}")
    socket = f"unix:{tmp_path}/socket"
    server = start(*named, f"--grpc_socket_path={tmp_path}/socket", f"--ssl_config_file={tmp_path}/ssl").ready()
    assert server.grpc == socket, "port 0 beside a socket is no port"
    credentials = grpc.ssl_channel_credentials(
        certificates.AUTHORITY.encode(), certificates.CLIENT_KEY.encode(), certificates.CLIENT_CERTIFICATE.encode()
    )
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(socket, credentials, options) as channel:
        assert predict(channel, "m", ROWS).outputs["y"].float_val[:] == [3.0] * 6
    with grpc.insecure_channel(socket) as channel, pytest.raises(grpc.RpcError):
        predict(channel, "m", ROWS)


def test_a_version_with_nothing_but_a_tflite_model(start: Callable[..., Server], tmp_path: Path) -> None:
    saved_models.scaling(tmp_path / "saved")
    version = tmp_path / "models" / "lite" / "1"
    version.mkdir(parents=True)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    (version / "model.tflite").write_bytes(converter.convert())
    server = start("--model_name=lite", f"--model_base_path={version.parent}", "--prefer_tflite_model=true").ready()
    answer = server.http.post("/v1/models/lite:predict", json={"instances": ROWS.tolist()})
    assert answer.json() == {"predictions": (ROWS * 2 + 1).tolist()}
    assert server.http.get("/v1/models").json()["models"][0]["versions"][0]["engine"] == "tflite"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mixed_precision=bfloat16"], "--mixed_precision=bfloat16 is refused: answers would change"),
        (["--rest_api_prt=1"], "did you mean '--rest_api_port'?"),
        (["--batching_parameters_file=x"], "without setting --enable_batching"),
        (["--enable_batching", "--batching_parameters_file=/nowhere"], "Error parsing text-format"),
        (["--ssl_config_file=/nowhere"], "Error parsing text-format tensorflow.serving.SSLConfig"),
    ],
)
def test_what_cannot_be_had_ends_the_start_with_a_sentence(words: list[str], says: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [GRAFT, "serve", "--port=0", "--rest_api_port=0", *words],
        env=ENVIRONMENT,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_migrate_and_version_are_commands(base_path: Path) -> None:
    command = [GRAFT, "migrate", "--", "tensorflow_model_server", f"--model_base_path={base_path}", "--port=8500"]
    said = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=True).stdout
    assert f"graft serve --model-base-path {base_path} --grpc-port 8500 --host 0.0.0.0 --discover false" in said
    version = subprocess.run([GRAFT, "serve", "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert re.fullmatch(r"graft \d+\.\d+\.\d+\n", version.stdout)
