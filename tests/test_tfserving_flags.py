"""TF Serving's command line: every flag has its place in the one table, in our words, and in the documentation."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from service.settings import ServeSettings, SettingsError
from service.settings_sources import add_flags, read_settings
from service.tfserving_flags import FLAGS, Kind, translate

COMPATIBILITY = Path(__file__).parents[1] / "docs" / "compatibility.md"
CONTRACT = [
    "port",
    "grpc_socket_path",
    "rest_api_port",
    "rest_api_num_threads",
    "rest_api_timeout_in_ms",
    "rest_api_enable_cors_support",
    "enable_batching",
    "batching_parameters_file",
    "enable_per_model_batching_parameters",
    "allow_version_labels_for_unavailable_models",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "model_name",
    "model_base_path",
    "num_load_threads",
    "num_unload_threads",
    "max_num_load_retries",
    "load_retry_interval_micros",
    "file_system_poll_wait_seconds",
    "flush_filesystem_caches",
    "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
    "tensorflow_session_config_file",
    "per_process_gpu_memory_fraction",
    "saved_model_tags",
    "ssl_config_file",
    "use_alts_credentials",
    "platform_config_file",
    "grpc_channel_arguments",
    "grpc_max_threads",
    "enable_grpc_healthcheck_service",
    "enable_model_warmup",
    "num_request_iterations_for_warmup",
    "monitoring_config_file",
    "remove_unused_fields_from_bundle_metagraph",
    "prefer_tflite_model",
    "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
    "enable_signature_method_name_check",
    "enable_serialization_as_tensor_content",
    "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled",
    "enable_profiler",
    "thread_pool_factory_config_file",
    "mixed_precision",
    "skip_initialize_tpu",
    "version",
]
"""Every flag of ``main.cc``."""
SAMPLES = {"grpc_channel_arguments": "a=1"}


def settings_of(*words: str) -> ServeSettings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return read_settings(parser.parse_args(translate(words).words), {})


def test_every_flag_has_a_place() -> None:
    assert list(FLAGS) == CONTRACT


def test_every_flag_is_documented_with_what_becomes_of_it() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", COMPATIBILITY.read_text(), re.MULTILINE))
    assert rows.keys() >= FLAGS.keys()
    assert {name: rows[name] for name in FLAGS} == {name: f"{flag.kind}: {flag.text}" for name, flag in FLAGS.items()}


@pytest.mark.parametrize("name", [name for name, flag in FLAGS.items() if flag.kind is Kind.HONOURED])
def test_what_is_honoured_is_a_setting(name: str) -> None:
    value = SAMPLES.get(name, "true" if FLAGS[name].truth else "7")
    given = ["--enable_batching", f"--{name}={value}"]
    if translate(given).words:
        assert settings_of(*given) != ServeSettings()
    else:
        assert name == "enable_model_warmup", "true is the default"


def test_the_command_line_of_the_docker_image_means_the_same_here() -> None:
    settings = settings_of(
        *("--port=8600", "--rest_api_port=8601", "--model_name=resnet", "--model_base_path=/models/resnet")
    )
    assert (settings.grpc_port, settings.rest_port) == (8600, 8601)
    assert (settings.model_name, settings.model_base_path) == ("resnet", "/models/resnet")
    assert settings.host == "0.0.0.0", "as TF Serving listens"
    assert not settings.discover, "as TF Serving serves what is named and nothing else"


@pytest.mark.parametrize("spelling", [["--port=81"], ["--port", "81"]])
def test_both_spellings_are_taken(spelling: list[str]) -> None:
    assert settings_of(*spelling).grpc_port == 81


@pytest.mark.parametrize(
    ("words", "cors"),
    [
        (["--rest_api_enable_cors_support"], True),
        (["--rest_api_enable_cors_support", "--keep", "2"], True),
        (["--rest_api_enable_cors_support=true"], True),
        (["--rest_api_enable_cors_support", "true"], True),
        (["--rest_api_enable_cors_support=1"], True),
        (["--rest_api_enable_cors_support=false"], False),
        (["--rest_api_enable_cors_support", "False"], False),
    ],
)
def test_what_is_true_or_false_may_stand_alone(words: list[str], cors: bool) -> None:
    assert settings_of(*words).cors is cors


def test_our_own_flags_stay_as_they_are_and_the_later_wins() -> None:
    assert translate(["serve", "--rest-port", "1", "--repository=x"]).words == (
        *("serve", "--rest-port", "1", "--repository=x"),
    )
    assert settings_of("--rest-port", "1", "--rest_api_port=2").rest_port == 2
    assert settings_of("--rest_api_port=2", "--rest-port", "1").rest_port == 1


def test_what_our_own_flags_say_of_address_and_repository_holds() -> None:
    named = "--model_config_file=/etc/models"
    settings = settings_of(named, "--host", "127.0.0.1", "--repository=/models")
    assert (settings.host, settings.discover) == ("127.0.0.1", True)
    assert translate([named], ["host", "repository"]).words == ("--model-config-file", "/etc/models")
    assert settings_of("--port=1") == ServeSettings(grpc_port=1), "without models named, nothing else changes"


@pytest.mark.parametrize(
    ("word", "setting", "value"),
    [
        ("--rest_api_timeout_in_ms=1500", "request_timeout_seconds", 1.5),
        ("--enable_model_warmup=false", "warmup_iterations", 0),
        ("--num_request_iterations_for_warmup=3", "warmup_iterations", 3),
        ("--num_request_iterations_for_warmup=0", "warmup_iterations", 1),
        ("--file_system_poll_wait_seconds=0", "poll_seconds", 0.0),
        ("--num_load_threads=0", "load_threads", ServeSettings().load_threads),
        ("--tensorflow_intra_op_parallelism=0", "intra_op_threads", 0),
        ("--saved_model_tags=serve,gpu", "saved_model_tags", "serve,gpu"),
        ("--grpc_channel_arguments=a=1,b=c", "channel_arguments", (("a", 1), ("b", "c"))),
        ("--model_base_path=", "model_base_path", ""),
    ],
)
def test_values_are_converted(word: str, setting: str, value: object) -> None:
    assert getattr(settings_of(word), setting) == value


def test_one_parallelism_sets_both() -> None:
    settings = settings_of("--tensorflow_session_parallelism=3")
    assert (settings.intra_op_threads, settings.inter_op_threads) == (3, 3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port"], "--port needs a value"),
        (["--port", "--keep"], "--port needs a value"),
        (["--port=many"], "--port: 'many' cannot be its value"),
        (["--enable_batching=perhaps"], "--enable_batching: 'perhaps' cannot be its value: it is true or false"),
        (["--file_system_poll_wait_seconds=-1"], "must not be negative"),
        (["--batching_parameters_file=x"], "--batching_parameters_file is set without"),
        (["--batching_parameters_file=x", "--enable_batching=false"], "--batching_parameters_file is set without"),
        (["--tensorflow_session_parallelism=2", "--tensorflow_intra_op_parallelism=2"], "not both"),
        (["--port=1", "--rest_api_port=1"], "must differ"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(words: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        translate(words)


def test_a_refused_flag_that_asks_for_nothing_is_let_through() -> None:
    words = ["--use_alts_credentials=false", "--mixed_precision=", "--platform_config_file="]
    assert translate(words).refused == ()
    refused = translate(["--use_alts_credentials", "--mixed_precision=bfloat16"]).refused
    assert [one.name for one in refused] == ["use_alts_credentials", "mixed_precision"]
    assert refused[1].sentence().startswith("--mixed_precision=bfloat16 is refused: answers would change")
