"""What a server brings into its process by the time it is ready: TensorFlow only where something served needs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import saved_models
from once import once
from real_server import Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one small model that OpenVINO runs."""
    return once(tmp_path_factory, "plain", lambda place: saved_models.scaling(place / "m" / "1"))


def has_tensorflow(server: Server) -> bool:
    return "/libtensorflow" in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_a_server_of_what_openvino_runs_never_imports_tensorflow(
    serve: Callable[..., Server], plain: Path, tmp_path: Path
) -> None:
    models, state = shutil.copytree(plain, tmp_path / "models"), tmp_path / "kept"
    for _ in ("tried and compiled", "with what was kept of that"):
        server = serve(models, state=state).ready()
        answer = httpx.post(f"{server.rest}/v1/models/m:predict", json={"instances": [[1, 2, 3]]}, timeout=60)
        assert np.allclose(answer.json()["predictions"], [[3, 5, 7]])
        with server.channel() as channel:
            channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")(b"\x0a\x03\x0a\x01m", timeout=60)
        assert httpx.get(f"{server.rest}/metrics", timeout=60).status_code == 200
        assert httpx.get(f"{server.rest}/v1/jobs", timeout=60).status_code == 200
        assert not has_tensorflow(server), server.tail()
        assert server.terminate() == 0


def test_where_tensorflow_is_asked_for_it_is_there(serve: Callable[..., Server], plain: Path) -> None:
    assert has_tensorflow(serve(plain, engine="tensorflow").ready())
