"""Public data sets are read from local copies that have the right digest, and from nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.learning import LearningTask
from training.builtin import materialise
from training.builtin.cifar import LABELS
from training.builtin.idx import FASHION_LABELS, FILES
from training.data.check import examine
from training.data.reading import Reading
from training.errors import BadData, BadRecipe
from training.recipe import DatasetChoice

NAMES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


def planes(seed: int, items: int = 20) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, size=(items, 3072), dtype=np.uint8), (np.arange(items) % 10).astype(np.uint8)


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def binary(seed: int) -> bytes:
    pixels, labels = planes(seed)
    return np.concatenate([labels[:, None], pixels], axis=1).tobytes()


def pickled(seed: int) -> bytes:
    """As the Python archive holds it: protocol 2, texts as bytes."""
    pixels, labels = planes(seed)
    return pickle.dumps({b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"one"}, protocol=2)


def cifar(path: Path, kind: str) -> Path:
    if kind == "binary":
        return tar(path, {f"cifar-10-batches-bin/{name}.bin": binary(n) for n, name in enumerate(NAMES)})
    return tar(path, {f"cifar-10-batches-py/{name}": pickled(n) for n, name in enumerate(NAMES)})


def sha(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_cifar10_is_read_from_either_archive(tmp_path: Path, kind: str) -> None:
    archive = cifar(tmp_path / "cifar.tar.gz", kind)
    with np.load(materialise(f"builtin:cifar10:{archive}", tmp_path, sha(archive)), allow_pickle=False) as found:
        assert found["x"].shape == (120, 32, 32, 3)
        pixels, labels = planes(0)
        np.testing.assert_array_equal(found["x"][7, :, :, 1].ravel(), pixels[7, 1024:2048])
        assert found["y"][:20].tolist() == [LABELS[label] for label in labels]
        assert found["side"].tolist() == ["train"] * 100 + ["test"] * 20


def test_half_of_the_classes_with_the_sides_of_their_makers(tmp_path: Path) -> None:
    archive = cifar(tmp_path / "cifar.tar.gz", "binary")
    choice = DatasetChoice.model_validate(
        {
            "uri": f"builtin:cifar10:{archive}",
            "digest": sha(archive),
            "filter": {"labels": ["dog", "frog", "horse", "ship", "truck"]},
            "side": "side",
        }
    )
    file = materialise(choice.uri, tmp_path, choice.digest)
    report, contents = examine(file, Reading.of(choice, LearningTask.MULTICLASS))
    assert report.faults == ()
    assert list(report.classes) == ["dog", "frog", "horse", "ship", "truck"]
    assert contents is not None
    assert contents.sides is not None
    assert contents.sides.count("test") == 10


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("evil-was-here"),)


@pytest.mark.parametrize("make", ["evil", "huge", "other", "labels", "float"])
def test_a_pickle_that_is_no_batch_is_refused_and_runs_nothing(
    tmp_path: Path, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels, labels = planes(0)
    batch: dict[bytes, Any] = {b"data": pixels, b"labels": labels.tolist()}
    match make:
        case "evil":
            batch[b"more"] = Evil()
        case "huge":
            batch[b"data"] = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (3, 3072), (0, 0))[:, :9]
        case "other":
            batch = {b"something": 1}
        case "labels":
            batch[b"labels"] = [77] * 20
        case _:
            batch[b"data"] = pixels.astype(np.float64)
    members = {f"c/{name}": pickle.dumps(batch, protocol=2) for name in NAMES}
    archive = tar(tmp_path / "cifar.tar.gz", members)
    with pytest.raises(BadData, match="data_batch_1"):
        materialise(f"builtin:cifar10:{archive}", tmp_path, sha(archive))
    assert not Path("evil-was-here").exists()


def test_an_archive_must_be_the_one_that_is_meant(tmp_path: Path) -> None:
    archive = cifar(tmp_path / "cifar.tar.gz", "binary")
    uri = f"builtin:cifar10:{archive}"
    with pytest.raises(BadData, match=sha(archive)):
        materialise(uri, tmp_path)
    with pytest.raises(BadData, match=r"dataset.digest says 000"):
        materialise(uri, tmp_path, "0" * 64)
    archive.write_bytes(archive.read_bytes()[:-3000])
    with pytest.raises(BadData, match=r"cannot be read to its end|inside this file"):
        materialise(uri, tmp_path, sha(archive))
    tar(archive, {"readme": b"hello"})
    with pytest.raises(BadData, match="no data_batch"):
        materialise(uri, tmp_path, sha(archive))
    tar(archive, {"c/data_batch_1.bin": b"1234"})
    with pytest.raises(BadData, match="not a number of records"):
        materialise(uri, tmp_path, sha(archive))
    for wrong in ("builtin:cifar10", "builtin:cifar10:/nowhere", "builtin:imagenet"):
        with pytest.raises(BadRecipe):
            materialise(wrong, tmp_path)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(folder: Path) -> list[Path]:
    folder.mkdir()
    files = []
    for items, names in zip((30, 10), FILES.values(), strict=True):
        draw = np.random.default_rng(items)
        arrays = (draw.integers(0, 256, (items, 28, 28), dtype=np.uint8), (np.arange(items) % 10).astype(np.uint8))
        for name, array in zip(names, arrays, strict=True):
            files.append(folder / f"{name}.gz")
            files[-1].write_bytes(gzip.compress(idx(array)))
    return files


@pytest.mark.parametrize(("name", "first"), [("mnist", "0"), ("fashion_mnist", FASHION_LABELS[0])])
def test_idx_files(tmp_path: Path, name: str, first: str) -> None:
    files = mnist(tmp_path / "copy")
    with np.load(materialise(f"builtin:{name}:{tmp_path / 'copy'}", tmp_path, sha(*files))) as found:
        assert found["x"].shape == (40, 28, 28, 1)
        assert found["y"][0] == first
        assert found["side"].tolist() == ["train"] * 30 + ["test"] * 10


@pytest.mark.parametrize(
    ("at", "data", "says"),
    [
        (0, b"\x1f\x8b\x08", "cannot be read to its end"),
        (0, gzip.compress(b"\x00\x00\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "claims"),
        (0, gzip.compress(b"hello"), "does not begin as an IDX"),
        (1, gzip.compress(idx(np.zeros(5, np.uint8))), "30 images, but 5 labels"),
        (1, gzip.compress(idx(np.full(30, 11, np.uint8))), "label 11"),
    ],
)
def test_idx_files_that_are_not_what_they_ought_to_be(tmp_path: Path, at: int, data: bytes, says: str) -> None:
    files = mnist(tmp_path / "copy")
    files[at].write_bytes(data)
    with pytest.raises(BadData, match=says):
        materialise(f"builtin:mnist:{tmp_path / 'copy'}", tmp_path, sha(*files))
    files[3].unlink()
    with pytest.raises(BadData, match="t10k-labels"):
        materialise(f"builtin:mnist:{tmp_path / 'copy'}", tmp_path, "0" * 64)
