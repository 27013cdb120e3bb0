"""TF Serving's configuration files: read as it reads them, and refused with their name and the reason."""

from __future__ import annotations

from pathlib import Path

import certificates
import pytest

from service.adapters.tfserving.batching_files import PerModelBatching, read_batching
from service.adapters.tfserving.monitoring_files import monitoring_path
from service.adapters.tfserving.ssl_files import read_identity
from service.adapters.tfserving.text_files import UnreadableFile
from service.domain.errors import ModelFailed


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "file.txt"
    file.write_text(text)
    return file


def test_an_empty_batching_file_means_tf_servings_defaults(tmp_path: Path) -> None:
    read = read_batching(written(tmp_path, ""))
    limits = read.limits
    assert (limits.max_rows, limits.max_request_rows, limits.max_waiting_rows) == (1000, 1000, 10000)
    assert limits.allowed_rows == ()
    assert limits.tells_late
    assert read.lanes >= 1
    assert (read.thread_pool_name, read.notes) == ("batch_threads", ())


def test_every_batching_parameter_has_its_meaning_or_a_note(tmp_path: Path) -> None:
    read = read_batching(
        written(
            tmp_path,
            """
            # as people write it
            max_batch_size { value: 128 }
            batch_timeout_micros { value: 0 }
            max_enqueued_batches: { value: 3 },
            num_batch_threads { value: 5 }
            thread_pool_name { value: 'mine' }
            allowed_batch_sizes: [8, 128]
            pad_variable_length_inputs: true
            """,
        )
    )
    limits = read.limits
    assert (limits.max_rows, limits.max_request_rows, limits.max_waiting_rows) == (128, 128, 384)
    assert (limits.allowed_rows, read.lanes, read.thread_pool_name) == ((8, 128), 5, "mine")
    assert [note.partition(" ")[0] for note in read.notes] == ["batch_timeout_micros", "pad_variable_length_inputs"]


def test_splitting_takes_requests_of_any_size_in_runs_of_its_own(tmp_path: Path) -> None:
    text = "max_batch_size { value: 100 } max_execution_batch_size { value: 20 } allowed_batch_sizes: 20"
    split = read_batching(written(tmp_path, f"{text} enable_large_batch_splitting {{ value: true }}")).limits
    assert (split.max_rows, split.max_request_rows, split.max_waiting_rows) == (20, None, 200)
    with pytest.raises(UnreadableFile, match="last entry was 20; expected 100"):
        read_batching(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_batch_size { value: 4 } allowed_batch_sizes: 3", "last entry was 3; expected 4"),
        ("max_batch_size: 4", "BatchingParameters"),
        ("max_bach_size { value: 4 }", "max_bach_size"),
        ("max_batch_size { value: 0 }", "at least 1"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be at least 1"),
        (
            "enable_large_batch_splitting { value: true } max_execution_batch_size { value: 2000 }",
            "2000 is larger than max_batch_size 1000",
        ),
    ],
)
def test_a_batching_file_that_is_wrong_is_named_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UnreadableFile, match=says) as caught:
        read_batching(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("nowhere", "bytes"):
        with pytest.raises(UnreadableFile, match=name):
            read_batching(tmp_path / name)


def test_a_version_brings_its_own_limits_or_none(tmp_path: Path) -> None:
    rules = PerModelBatching()
    assert rules.limits(tmp_path) is None
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 7 }")
    limits = rules.limits(tmp_path)
    assert limits is not None
    assert limits.max_rows == 7
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 7 } allowed_batch_sizes: 6")
    with pytest.raises(ModelFailed, match="last entry was 6; expected 7"):
        rules.limits(tmp_path)


def test_monitoring_is_on_at_a_path_or_off(tmp_path: Path) -> None:
    def path(text: str) -> str | None:
        return monitoring_path(written(tmp_path, text))

    assert path("prometheus_config { enable: true path: '/metrics/here' }") == "/metrics/here"
    assert path("prometheus_config: { enable: true }") == "/monitoring/prometheus/metrics"
    assert path("prometheus_config { path: '/metrics/here' }") is None
    assert path("") is None
    with pytest.raises(UnreadableFile, match="slash"):
        path("prometheus_config { enable: true path: 'metrics' }")
    with pytest.raises(UnreadableFile, match=r"tensorflow\.serving\.MonitoringConfig"):
        path("prometheus: 1")


def test_an_identity_is_the_pem_text_itself(tmp_path: Path) -> None:
    def inline(pem: str) -> str:
        return "\n".join(f'"{line}\\n"' for line in pem.splitlines())

    text = f"server_key: {inline(certificates.SERVER_KEY)} server_cert: {inline(certificates.SERVER_CERTIFICATE)}"
    identity = read_identity(written(tmp_path, text))
    assert identity.key.decode() == certificates.SERVER_KEY
    assert identity.certificates.decode() == certificates.SERVER_CERTIFICATE
    assert identity.client_authorities is None
    assert certificates.SERVER_KEY.splitlines()[1] not in repr(identity), "a key does not belong in a log"

    verified = f"{text} custom_ca: {inline(certificates.AUTHORITY)} client_verify: true"
    authorities = read_identity(written(tmp_path, verified)).client_authorities
    assert authorities is not None
    assert authorities.decode() == certificates.AUTHORITY
    for wrong, says in ((f"{text} client_verify: true", "custom_ca"), ("server_cert: 'x'", "server_key")):
        with pytest.raises(UnreadableFile, match=says):
            read_identity(written(tmp_path, wrong))
