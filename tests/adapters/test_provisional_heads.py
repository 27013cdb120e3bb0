"""Provisional heads on disk: what is put there is a version that the repository's own eyes take for sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.adapters.provisional_heads import ProvisionalDirectory
from service.adapters.repositories import DirectoryRepository
from service.application.ports import GoldenPair
from service.domain.artifact import BaseRef, InputKind, InputSpec, Manifest, ModelKind, Route
from service.domain.heads import AnswerForm, Head

GOLDEN = GoldenPair(
    "serving_default", {"x": np.ones((2, 3), np.float32)}, {"probabilities": np.full((2, 2), 0.5, np.float32)}
)


def head(seed: int) -> Head:
    return Head(np.random.default_rng(seed).random((2, 3)).astype(np.float32), np.zeros(2, np.float32), ("a", "b"))


def manifest(job: str) -> Manifest:
    return Manifest(
        kind=ModelKind.HEAD,
        task="multiclass",
        labels=("a", "b"),
        input=InputSpec(InputKind.VECTOR, (3,), "x"),
        digest="",
        files={},
        base=BaseRef("base", 1, "d"),
        cut="f",
        routes={"serving_default": Route("features", AnswerForm.PREDICT)},
        provenance={"job_id": job, "provisional": True},
    )


def test_what_is_put_there_is_read_as_a_sound_version(tmp_path: Path) -> None:
    shelf, repository = ProvisionalDirectory(tmp_path / "p"), DirectoryRepository(tmp_path / "p")
    assert (dict(repository.scan()), dict(shelf.held())) == ({}, {})
    shelf.put("birds", manifest("job-1"), head(1), GOLDEN)
    (listing,) = repository.scan()["birds"]
    assert (str(listing.id), listing.problem, repository.damage(listing)) == ("birds@0", None, None)
    np.testing.assert_array_equal(repository.head(listing).weights, head(1).weights)
    golden = repository.golden(listing)
    assert golden is not None
    np.testing.assert_array_equal(golden.inputs["x"], GOLDEN.inputs["x"])
    assert shelf.held() == {"birds": "job-1"}
    shelf.remove("birds")
    shelf.remove("birds")
    assert (dict(repository.scan()), dict(shelf.held()), list((tmp_path / "p").iterdir())) == ({}, {}, [])


def test_another_takes_its_place_and_it_is_never_away(tmp_path: Path) -> None:
    shelf, repository = ProvisionalDirectory(tmp_path), DirectoryRepository(tmp_path)
    shelf.put("birds", manifest("job-1"), head(1), GOLDEN)
    (before,) = repository.scan()["birds"]
    shelf.put("birds", manifest("job-2"), head(2), GOLDEN)
    (after,) = repository.scan()["birds"]
    assert before.directory == after.directory
    assert (after.problem, repository.damage(after), shelf.held()) == (None, None, {"birds": "job-2"})
    np.testing.assert_array_equal(repository.head(after).weights, head(2).weights)
    assert [path.name for path in (tmp_path / "birds").iterdir()] == ["0"], "nothing half made is left"


def test_texts_are_a_proof_too(tmp_path: Path) -> None:
    shelf, repository = ProvisionalDirectory(tmp_path), DirectoryRepository(tmp_path)
    texts = np.array([b"one", "z\u00fc".encode()], dtype=object)
    shelf.put("birds", manifest("j"), head(1), GoldenPair("serving_default", {"x": texts}, GOLDEN.outputs))
    golden = repository.golden(repository.scan()["birds"][0])
    assert golden is not None
    assert golden.inputs["x"].tolist() == texts.tolist()


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    shelf = ProvisionalDirectory(tmp_path)
    (tmp_path / "birds").write_text("in the way")
    with pytest.raises(OSError, match="birds"):
        shelf.put("birds", manifest("j"), head(1), GOLDEN)
    assert dict(shelf.held()) == {}


def test_what_cannot_be_read_is_held_in_nobodys_name(tmp_path: Path) -> None:
    """So it is taken away at the next look."""
    shelf = ProvisionalDirectory(tmp_path)
    shelf.put("birds", manifest("job-1"), head(1), GOLDEN)
    (tmp_path / "birds/0/assets.extra/graft/manifest.json").write_bytes(b"\xff{")
    (tmp_path / "empty").mkdir()
    assert shelf.held() == {"birds": ""}
