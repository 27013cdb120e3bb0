"""Settings from flag, environment and file: which wins, and that nothing misspelt is passed over."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from service.__main__ import main
from service.settings import ServeSettings, SettingsError
from service.settings_sources import add_flags, read_settings


def read(*flags: str, file: str | None = None, tmp_path: Path | None = None, **environment: str) -> ServeSettings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    words = list(flags)
    if file is not None:
        assert tmp_path is not None
        (tmp_path / "graft.toml").write_text(file)
        words += ["--config", str(tmp_path / "graft.toml")]
    return read_settings(parser.parse_args(words), environment)


def refusal(*flags: str, file: str | None = None, tmp_path: Path | None = None, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(*flags, file=file, tmp_path=tmp_path, **environment)
    return str(caught.value)


def test_without_anything_said_the_defaults_hold() -> None:
    assert read() == ServeSettings()
    assert read(PATH="/bin", HOME="/root") == ServeSettings()


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = "keep = 2\nlanes = 2\nhost = '::1'"
    settings = read("--keep", "4", file=file, tmp_path=tmp_path, GRAFT_KEEP="3", GRAFT_LANES="3")
    assert (settings.keep, settings.lanes, settings.host, settings.trainers) == (4, 3, "::1", 1)


SOME = {"log_level": "debug", "grpc_channel_arguments": "a=7", "engine": "openvino", "precision": "bf16"}
"""A value for those that cannot be just anything."""


@pytest.mark.parametrize("name", [setting.name for setting in fields(ServeSettings)])
def test_every_setting_can_be_said_in_all_three_places(name: str, tmp_path: Path) -> None:
    default = getattr(ServeSettings(), name)
    value = str(not default).lower() if isinstance(default, bool) else SOME.get(name, "7")
    flag = read(f"--{name.replace('_', '-')}", value)
    environment = read(**{f"GRAFT_{name.upper()}": value})
    quoted = f"'{value}'" if isinstance(default, str | Path) else value
    file = read(file=f"{name} = {quoted}", tmp_path=tmp_path)
    assert flag == environment == file != ServeSettings()
    assert type(getattr(flag, name)) is type(getattr(ServeSettings(), name))


def test_a_key_that_nobody_knows_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    assert "no setting is called 'rest_prot'; did you mean 'rest_port'?" in refusal(
        file="rest_prot = 1", tmp_path=tmp_path
    )
    assert "GRAFT_KEPE: no setting is called 'kepe'; did you mean 'keep'?" in refusal(GRAFT_KEPE="1")
    assert "there are repository" in refusal(GRAFT_ZZZZZZ="1")
    assert "no setting is called 'serve'" in refusal(file="[serve]\nkeep = 1", tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("flag", "suggestion"), [("--kepe", "--keep"), ("--max-batch-row", "--max-batch-rows"), ("--cnofig=x", "--config")]
)
def test_a_flag_that_nobody_knows_is_one_too_and_is_not_completed(flag: str, suggestion: str) -> None:
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stderr(said):
        main(["serve", flag, "2"])
    assert ended.value.code == 2
    assert f"did you mean '{suggestion}'?" in said.getvalue()


def test_a_value_of_the_wrong_type_names_its_place() -> None:
    assert refusal("--keep", "two") == "--keep: 'two' is not of type int"
    assert refusal(GRAFT_POLL_SECONDS="often") == "GRAFT_POLL_SECONDS: 'often' is not of type float"
    assert refusal("--cors", "perhaps") == "--cors: 'perhaps' is not of type bool"


@pytest.mark.parametrize(
    "line",
    [
        *("keep = 1.5", "keep = true", "keep = '1'", "keep = []"),
        *("host = 5", "host = ['a']", "[host]", "require = ['a', 'b']", "repository = 5"),
        *("poll_seconds = '1'", "drain_seconds = false", "cors = 'true'", "cors = 1"),
    ],
)
def test_a_value_in_the_file_has_the_type_that_toml_says(line: str, tmp_path: Path) -> None:
    assert "is not of type" in refusal(file=line, tmp_path=tmp_path)


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    assert read(file="poll_seconds = 2", tmp_path=tmp_path).poll_seconds == 2.0


@pytest.mark.parametrize("file", ["keep = ", "\x00", "keep = 1\nkeep = 2"])
def test_a_file_that_cannot_be_read_is_named(file: str, tmp_path: Path) -> None:
    assert "graft.toml" in refusal(file=file, tmp_path=tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.toml" in refusal("--config", str(tmp_path / "nowhere.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    assert "bytes.toml" in refusal("--config", str(tmp_path / "bytes.toml"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keep", "0"),
        ("rest_port", "-1"),
        ("grpc_port", "65536"),
        ("poll_seconds", "-0.1"),
        ("poll_seconds", "0.001"),
        ("poll_seconds", "nan"),
        ("poll_seconds", "inf"),
        ("lanes", "-1"),
        ("max_batch_rows", "-1"),
        ("max_waiting_rows", "0"),
        ("request_timeout_seconds", "0"),
        ("request_timeout_seconds", "nan"),
        ("max_request_bytes", "0"),
        ("max_upload_bytes", "-5"),
        ("trainers", "-1"),
        ("drain_seconds", "-1"),
        ("drain_seconds", "inf"),
        ("shutdown_seconds", "nan"),
        ("log_level", "loud"),
        ("engine", "jax"),
        ("precision", "f16"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: str) -> None:
    assert name in refusal(f"--{name.replace('_', '-')}", value)


def test_every_number_has_a_bound() -> None:
    for setting in fields(ServeSettings):
        if isinstance(setting.default, int | float) and not isinstance(setting.default, bool):
            assert setting.name in refusal(f"--{setting.name.replace('_', '-')}=-1")


KUBERNETES: Mapping[str, str] = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "GRAFT_SERVICE_HOST": "10.0.0.7",
    "GRAFT_SERVICE_PORT": "8501",
    "GRAFT_SERVICE_PORT_REST": "8501",
    "GRAFT_PORT": "tcp://10.0.0.7:8501",
    "GRAFT_PORT_8501_TCP": "tcp://10.0.0.7:8501",
    "GRAFT_PORT_8501_TCP_PROTO": "tcp",
    "GRAFT_PORT_8501_TCP_PORT": "8501",
    "GRAFT_PORT_8501_TCP_ADDR": "10.0.0.7",
    "GRAFT_BLUE_SERVICE_HOST": "10.0.0.8",
}


def test_what_kubernetes_says_of_a_service_of_our_name_is_nobodys_setting() -> None:
    assert read(**KUBERNETES) == ServeSettings()
    assert "GRAFT_SERVICE_HOST" in refusal(GRAFT_SERVICE_HOST="x"), "outside of Kubernetes it is a mistake"
    assert "GRAFT_HTTP_PORT" in refusal(**KUBERNETES, GRAFT_HTTP_PORT="80"), "and so is a misspelt setting inside"
    assert read(**KUBERNETES, GRAFT_REST_PORT="80").rest_port == 80


def test_required_models_are_a_list_of_names() -> None:
    assert read("--require", " a, b ,,c").required_models == ("a", "b", "c")
    assert read().required_models == ()


def test_a_precision_is_openvinos() -> None:
    assert "engine is tensorflow" in refusal("--engine=tensorflow", "--precision=bf16")
