"""``graft migrate`` reads a TF Serving installation and says what would become of it, without starting anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import saved_models
import tensorflow as tf

from service.migration import migrate

CONFIG = """
model_config_list {{
  config {{ name: 'scaling' base_path: '{root}/scaling' model_platform: 'tensorflow'
            model_version_policy {{ specific {{ versions: 2 }} }} version_labels {{ key: 'stable' value: 9 }} }}
  config {{ name: 'gone' base_path: '{root}/gone' model_platform: 'tensorflow' }}
}}
"""


def quantised(directory: Path) -> None:
    """A model that answers in a type which is none outside of TensorFlow."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def small(x: Any) -> Any:
        return {"y": tf.quantization.quantize(x, -1.0, 1.0, tf.qint8).output}

    tf.saved_model.save(module, str(directory), {"small": small})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model in two versions, one that no door can carry, and one that is none."""
    made = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        saved_models.scaling(made / "scaling" / str(version))
    quantised(made / "curious" / "1")
    (made / "torn" / "1").mkdir(parents=True)
    (made / "models.config").write_text(CONFIG.format(root=made))
    return made


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = migrate(words)
    return status, capsys.readouterr().out


def test_a_command_line_that_can_be_switched(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = asked(
        capsys,
        *("--", "tensorflow_model_server", "--port=8500", "--rest_api_port", "8501", "--model_name=scaling"),
        *(f"--model_base_path={root}/scaling", "--num_unload_threads=2"),
    )
    assert status == 0
    assert "kept     --port=8500: --grpc-port" in said
    assert "differs  --num_unload_threads=2: versions are freed" in said
    assert "kept     scaling@2: signatures features, serving_default" in said
    assert "scaling@1" not in said, "it would not be loaded"
    assert (
        f"graft serve --grpc-port 8500 --rest-port 8501 --model-name scaling --model-base-path {root}/scaling" in said
    )
    assert said.endswith("It can be switched.\n")


def test_a_configuration_file_is_followed_to_the_models(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = asked(capsys, "--model-config-file", f"{root}/models.config")
    assert status == 0
    assert "kept     scaling@2" in said
    assert "differs  scaling, label stable: version 9 is not there yet" in said
    assert f"differs  gone: {root}/gone cannot be read, and is waited for" in said


def test_files_are_read_and_what_has_no_meaning_is_said(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "batching").write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 5 }")
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: '/here' }")
    status, said = asked(
        capsys,
        *("--enable_batching", f"--batching_parameters_file={tmp_path}/batching"),
        *(f"--monitoring_config_file={tmp_path}/monitoring", f"--model_base_path={root}/scaling"),
    )
    assert status == 0
    assert "batching: 8 rows a run, 80 waiting" in said
    assert "batching: batch_timeout_micros is ignored" in said
    assert "monitoring: metrics at /here" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mixed_precision=bfloat16"], "REFUSED  --mixed_precision=bfloat16: answers would change"),
        (["--model_base_path={root}/curious"], "REFUSED  default@1: signature small: y is DT_QINT8, which no door"),
        (["--model_base_path={root}/torn"], "REFUSED  default@1: saved_model.pb cannot be read"),
        (["--model_base_path=scaling"], "REFUSED  models: Expected model default to have an absolute path"),
        (["--model_config_file={root}/nowhere"], "REFUSED  models:"),
        (["--monitoring_config_file={root}/nowhere"], "REFUSED  files: Error parsing text-format"),
        (
            ["--prot=8500"],
            "REFUSED  the command line: neither TensorFlow Serving nor Graft has such flags: --prot=8500",
        ),
        (["--port=many"], "REFUSED  the command line: --port: 'many' cannot be its value"),
    ],
)
def test_what_is_refused_is_said_and_ends_with_one(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    status, said = asked(capsys, *(word.format(root=root) for word in words))
    assert status == 1
    assert says in said
    assert "cannot be switched" in said


def test_what_a_version_brings_along_is_looked_at(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved_models.scaling(tmp_path / "m" / "1")
    (tmp_path / "m" / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 4 } allowed_batch_sizes: 3")
    base = f"--model_base_path={tmp_path}/m"
    status, said = asked(capsys, base)
    assert (status, "batching_params.pbtxt is not asked for, and not read" in said) == (0, True)
    status, said = asked(capsys, base, "--enable_batching", "--enable_per_model_batching_parameters")
    assert status == 1
    assert "last entry was 3; expected 4" in said


def test_without_flags_it_says_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys)[0] == 2
    status, said = asked(capsys, "--help")
    assert status == 0
    assert said.startswith("usage: graft migrate")
