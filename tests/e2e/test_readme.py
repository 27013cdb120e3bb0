"""The README's calls work as pasted, and answer in the form it shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import demo
import pytest
from real_server import ENVIRONMENT, GRAFT, Server

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text()
SERVED = README[README.index("## Call it") : README.index("## Train a base")]
BLOCKS = re.findall(r"```sh\n(.*?)```\n(?:```json\n(.*?)```)?", SERVED, re.S)


def _form(value: Any) -> Any:
    """A JSON value's keys and types, without its numbers and words."""
    if isinstance(value, dict):
        return {key: _form(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_form(value[0])] if value else []
    return type(value).__name__


def test_the_calls_of_the_readme_work_as_pasted(tuned: Path, tmp_path: Path, serve: Callable[..., Server]) -> None:
    """Each block is run by a shell in a folder that holds what the demo leaves; only the addresses are others."""
    place = tmp_path / "var" / "demo"
    shutil.copytree(tuned, place / "models")
    images, labels = demo.digits()
    demo.write_samples(place, images, labels, demo.archive(images[:120], labels[:120]))
    server = serve(place / "models").ready()
    server.wait_live("digits-5-9", 1)
    assert len(BLOCKS) >= 8
    for script, expected in BLOCKS:
        here = script.replace("http://localhost:8501", server.rest).replace("localhost:8501", server.rest)
        here = here.replace("localhost:8500", server.grpc).replace(".venv/bin/", str(Path(GRAFT).parent) + "/")
        here = here.replace("--base digits\n", f"--base digits --url {server.rest}\n")
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", here], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert ran.returncode == 0, (script, ran.stdout, ran.stderr)
        assert ran.stdout.strip(), script
        if expected:
            assert _form(json.loads(ran.stdout)) == _form(json.loads(expected)), script
        else:
            assert '"error":{' not in ran.stdout, (script, ran.stdout)


def test_every_setting_and_command_is_told_by_help() -> None:
    """``--help`` names every command, and every setting with its default and variable."""
    from dataclasses import fields

    from service.settings import ServeSettings

    told = subprocess.run([GRAFT, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    words = "".join(told.split())
    for setting in fields(ServeSettings):
        assert "--" + setting.name.replace("_", "-") in told
        assert f"GRAFT_{setting.name.upper()}" in words
    listed = subprocess.run([GRAFT, "--help"], capture_output=True, text=True, check=True).stdout
    ours = ("serve", "train", "datasets", "models", "predict", "tune", "jobs")
    for command in (*ours, "promote", "canary", "rollback", "shadow", "label", "direction"):
        assert f"    {command}" in listed
