"""``graft bench`` against a real server over both doors: what it prints, and what it says when it goes wrong."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real_server import ENVIRONMENT, GRAFT, Server
from saved_models import scaling

pytestmark = pytest.mark.e2e


def _bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [GRAFT, "bench", "--seconds", "0.5", "--warm-up", "0.1", "--clients", "3", *words]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture
def served(tmp_path: Path, serve: Callable[..., Server]) -> Server:
    scaling(tmp_path / "models" / "scaling" / "1")
    return serve(tmp_path / "models").ready()


def test_a_load_over_either_door(served: Server, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text("[[1, 2, 3]]")
    for words in (
        (served.rest,),
        (served.rest.removeprefix("http://"), "--rows", "5"),
        (served.rest, "--rate", "20", "--json-file", str(request)),
        (served.grpc, "--grpc", "--processes", "2"),
        (served.grpc, "--grpc", "--signature", "features", "--rate", "20"),
    ):
        ran = _bench(*words, "--model", "scaling")
        assert ran.returncode == 0, ran.stderr
        assert re.search(r"^errors +none$", ran.stdout, re.MULTILINE), ran.stdout
        assert re.search(r"^latency ms  p50 [\d.]+ .* max [\d.]+$", ran.stdout, re.MULTILINE), ran.stdout


def test_what_goes_wrong_is_one_sentence(served: Server, tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.json"
    narrow.write_text("[[1, 2]]")
    for words, said in (
        ((served.rest, "--model", "nobody"), "Servable not found"),
        ((served.grpc, "--grpc", "--model", "nobody"), "NOT_FOUND"),
        ((served.rest, "--model", "scaling", "--signature", "none"), "no signature 'none'"),
        ((served.rest, "--model", "scaling", "--json-file", str(narrow)), "the file has [1, 2]"),
        ((served.rest, "--model", "scaling", "--json-file", str(tmp_path / "none")), "No such file"),
        (("http://127.0.0.1:1", "--model", "scaling"), "cannot be reached"),
        (("127.0.0.1:1", "--grpc", "--model", "scaling"), "UNAVAILABLE"),
        ((served.rest, "--grpc", "--model", "scaling"), "HOST:PORT"),
        (("ftp://there", "--model", "scaling"), "is not http://HOST:PORT"),
    ):
        ran = _bench(*words)
        assert ran.returncode == 1, words
        assert said in ran.stderr, (words, ran.stderr)
        assert "Traceback" not in ran.stderr


def test_bad_numbers_are_refused() -> None:
    for flag in ("--rate", "--clients", "--seconds", "--rows"):
        ran = _bench("http://127.0.0.1:1", "--model", "m", flag, "0")
        assert ran.returncode == 2
        assert "is not a number above 0" in ran.stderr
