"""A repository in a directory: what is a version there, what is wrong with it, and what must not disturb the others."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from published import SAVED_MODEL, arrays, write_files, write_version
from s3_server import OwnBucket
from serving_fakes import FakeRepository, base_manifest, full_manifest, head_manifest, head_of

from service.adapters.object_store import Bucket, Cache, Mirror, MirroredRepository, StoreMetrics
from service.adapters.repositories import DirectoryRepository
from service.application.ports import GoldenPair, Listing, Repository
from service.domain.artifact import GOLDEN, HEAD, MANIFEST, BaseRef, Manifest, Route, content_digest
from service.domain.errors import ModelFailed
from service.domain.heads import AnswerForm, Head

PAIR = GoldenPair("serving_default", {"x": np.ones((2, 3), np.float32)}, {"y": np.zeros((2, 3), np.float32)})
LABELS = ("a", "b")


def numbers(repository: Repository) -> dict[str, list[int]]:
    return {model: [one.id.version for one in listings] for model, listings in repository.scan().items()}


def only(repository: Repository) -> Listing:
    ((listing,),) = repository.scan().values()
    return listing


@pytest.fixture
def repository(tmp_path: Path) -> DirectoryRepository:
    return DirectoryRepository(tmp_path)


def plain(directory: Path) -> Path:
    write_files(directory, SAVED_MODEL)
    return directory


# --- What fake and real have in common --------------------------------------------------------------------------------


class Shelf(Protocol):
    """A repository, and a way to put versions into it."""

    repository: Repository

    def put(
        self, model: str, version: int, manifest: Manifest | None, head: Head | None, golden: GoldenPair | None
    ) -> None: ...

    def remove(self, model: str, version: int) -> None: ...

    def damage(self, model: str, version: int) -> None: ...

    def lose(self) -> None: ...


class FakeShelf:
    def __init__(self, _: Path) -> None:
        self.repository = FakeRepository()

    def put(
        self, model: str, version: int, manifest: Manifest | None, head: Head | None, golden: GoldenPair | None
    ) -> None:
        self.repository.put(model, version, manifest, head=head, golden=golden)

    def remove(self, model: str, version: int) -> None:
        self.repository.remove(model, version)

    def damage(self, model: str, version: int) -> None:
        next(one for name, one in self.repository.versions.items() if name.model == model).damage = "it differs"

    def lose(self) -> None:
        self.repository.unreachable = True


class DirectoryShelf:
    def __init__(self, root: Path) -> None:
        self._root, self.repository = root, DirectoryRepository(root)

    def put(
        self, model: str, version: int, manifest: Manifest | None, head: Head | None, golden: GoldenPair | None
    ) -> None:
        directory = self._root / model / str(version)
        shutil.rmtree(directory, ignore_errors=True)
        if manifest is None:
            plain(directory)
        else:
            write_version(directory, manifest, head=head, golden=golden)

    def remove(self, model: str, version: int) -> None:
        shutil.rmtree(self._root / model / str(version))

    def damage(self, model: str, version: int) -> None:
        write_files(self._root / model / str(version), {"saved_model.pb": b"another"})

    def lose(self) -> None:
        shutil.rmtree(self._root)


class LookingRepository(MirroredRepository):
    """One whose mirror has just looked, twice, whenever it is asked."""

    def __init__(self, bucket: Bucket, root: Path) -> None:
        metrics = StoreMetrics(CollectorRegistry())
        self.mirror = Mirror(bucket, Cache(root), metrics, tuple, keep=1, most_bytes=1 << 40)
        super().__init__(DirectoryRepository(root), self.mirror)

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        for _ in range(2):
            self.mirror.look()
            self.mirror.settle()
        return super().scan()


class StoreShelf:
    def __init__(self, theirs: OwnBucket, root: Path) -> None:
        self._theirs, self._made, self._cache = theirs, root / "made", root / "cache"
        self.repository = LookingRepository(theirs.ours(), self._cache)

    def put(
        self, model: str, version: int, manifest: Manifest | None, head: Head | None, golden: GoldenPair | None
    ) -> None:
        DirectoryShelf(self._made).put(model, version, manifest, head, golden)
        self._theirs.remove(f"{model}/{version}/")
        self._theirs.put_folder(self._made / model / str(version), f"{model}/{version}")

    def remove(self, model: str, version: int) -> None:
        self._theirs.remove(f"{model}/{version}/")
        self.repository.scan()

    def damage(self, model: str, version: int) -> None:
        write_files(self._cache / model / str(version), {"saved_model.pb": b"another"})

    def lose(self) -> None:
        self.close()
        self.repository = LookingRepository(Bucket("s3://nobody-has-this/models", self._theirs.endpoint), self._cache)

    def close(self) -> None:
        self.repository.mirror.close()


@pytest.fixture(params=["fake", "directory", "store"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param != "store":
        yield {"fake": FakeShelf, "directory": DirectoryShelf}[request.param](tmp_path)
        return
    shelf = StoreShelf(request.getfixturevalue("theirs"), tmp_path)
    yield shelf
    shelf.close()


def test_contract_versions_come_by_model_and_in_order(shelf: Shelf) -> None:
    assert shelf.repository.scan() == {}
    for model, version in (("b", 10), ("b", 9), ("a", 1)):
        shelf.put(model, version, None, None, None)
    assert numbers(shelf.repository) == {"a": [1], "b": [9, 10]}
    shelf.remove("a", 1)
    assert numbers(shelf.repository) == {"b": [9, 10]}


def test_contract_a_version_is_the_same_until_it_changes(shelf: Shelf) -> None:
    shelf.put("m", 1, None, None, None)
    first = only(shelf.repository)
    assert only(shelf.repository) == first
    shelf.put("m", 1, base_manifest("d"), None, None)
    second = only(shelf.repository)
    assert second.id == first.id
    assert second.stamp != first.stamp
    assert second.manifest is not None


def test_contract_what_did_not_change_is_the_same_object(shelf: Shelf) -> None:
    for model in ("a", "b", "c"):
        shelf.put(model, 1, full_manifest(model), None, None)
    first = shelf.repository.scan()
    assert shelf.repository.scan() is first
    shelf.put("b", 2, full_manifest("b2"), None, None)
    shelf.remove("c", 1)
    second = shelf.repository.scan()
    assert set(second) == {"a", "b"}
    assert second["a"] is first["a"]
    assert [one.id.version for one in second["b"]] == [1, 2]
    assert set(first) == {"a", "b", "c"}, "what was seen before is not changed"


def test_contract_a_heads_weights_and_a_golden_pair_come_back_as_they_were_put(shelf: Shelf) -> None:
    head = head_of(LABELS)
    shelf.put("h", 1, head_manifest("d", "b", LABELS), head, PAIR)
    listing = only(shelf.repository)
    back, pair = shelf.repository.head(listing), shelf.repository.golden(listing)
    assert back.labels == LABELS
    assert back.weights.tolist() == head.weights.tolist()
    assert back.bias.tolist() == head.bias.tolist()
    assert pair is not None
    assert pair.signature == PAIR.signature
    assert {alias: array.tolist() for alias, array in pair.outputs.items()} == {"y": PAIR.outputs["y"].tolist()}
    assert shelf.repository.damage(listing) is None


def test_contract_what_a_version_does_not_have_is_said_so(shelf: Shelf) -> None:
    shelf.put("h", 1, head_manifest("d", "b", LABELS), None, None)
    listing = only(shelf.repository)
    assert shelf.repository.golden(listing) is None
    with pytest.raises(ModelFailed):
        shelf.repository.head(listing)


def test_contract_damage_and_disappearance_are_seen(shelf: Shelf) -> None:
    shelf.put("m", 1, full_manifest("d"), None, None)
    listing = only(shelf.repository)
    shelf.damage("m", 1)
    assert shelf.repository.damage(listing)
    shelf.remove("m", 1)
    assert shelf.repository.damage(listing)


def test_contract_a_repository_out_of_reach_is_an_error_and_not_an_empty_one(shelf: Shelf) -> None:
    shelf.put("m", 1, None, None, None)
    shelf.lose()
    with pytest.raises(OSError, match=r".+"):
        shelf.repository.scan()


# --- What is a version ------------------------------------------------------------------------------------------------


def test_only_directories_named_by_numbers_are_versions(repository: DirectoryRepository, tmp_path: Path) -> None:
    for name in ("1", "20", ".30", "tmp", "1.2", "v1", "-4", "+5", " 6", "7 ", "٨", "²", "1e3", "0x1"):
        plain(tmp_path / "m" / name)
    (tmp_path / "m" / "99").write_text("a file")
    (tmp_path / "file").write_text("not a model")
    plain(tmp_path / ".hidden" / "1")
    (tmp_path / "empty").mkdir()
    assert numbers(repository) == {"m": [1, 20]}


def test_numbers_go_as_far_as_a_version_on_the_wire_does(repository: DirectoryRepository, tmp_path: Path) -> None:
    for name in ("0", str(2**63 - 1), str(2**63), "9" * 200):
        plain(tmp_path / "m" / name)
    assert numbers(repository) == {"m": [0, 2**63 - 1]}


def test_of_two_directories_with_one_number_the_plain_one_is_served_and_a_warning_given_once(
    repository: DirectoryRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("001", "1", "01"):
        plain(tmp_path / "m" / name)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert only(repository).directory == tmp_path / "m" / "1"
    assert len(caplog.records) == 2, "one for each that is passed over"
    assert len({only(repository).stamp for _ in range(3)}) == 1, "and it does not look changed at every look"


def test_a_number_with_zeros_in_front_is_that_number(repository: DirectoryRepository, tmp_path: Path) -> None:
    plain(tmp_path / "m" / "00000123")
    assert numbers(repository) == {"m": [123]}


def test_a_link_to_a_directory_is_followed(repository: DirectoryRepository, tmp_path: Path) -> None:
    plain(tmp_path / ".store" / "m" / "1")
    (tmp_path / "m").symlink_to(tmp_path / ".store" / "m")
    (tmp_path / ".store" / "m" / "2").symlink_to("1")
    assert numbers(repository) == {"m": [1, 2]}


def test_links_in_a_circle_and_into_nothing_disturb_nobody(repository: DirectoryRepository, tmp_path: Path) -> None:
    plain(tmp_path / "m" / "1")
    for place in (tmp_path / "m" / "2", tmp_path / "circle"):
        place.symlink_to(place)
    for place in (tmp_path / "m" / "3", tmp_path / "dangling"):
        place.symlink_to(tmp_path / "nowhere")
    assert numbers(repository) == {"m": [1]}


def test_a_name_that_is_no_text_is_passed_over(repository: DirectoryRepository, tmp_path: Path) -> None:
    """It could be written on no page and in no answer, and would break the page for all the others."""
    (tmp_path / os.fsdecode(b"caf\xe9") / "1").mkdir(parents=True)
    plain(tmp_path / "café" / "1")
    assert numbers(repository) == {"café": [1]}


def test_a_model_that_cannot_be_read_keeps_what_it_had_and_the_others_go_on(
    repository: DirectoryRepository, tmp_path: Path
) -> None:
    plain(tmp_path / "m" / "1")
    plain(tmp_path / "lost" / "1")
    assert numbers(repository) == {"lost": [1], "m": [1]}
    (tmp_path / "lost").rename(tmp_path / ".lost")
    (tmp_path / "lost").symlink_to("x" * 300)  # a name too long to ask about: an error, also for root
    plain(tmp_path / "m" / "2")
    assert numbers(repository) == {"lost": [1], "m": [1, 2]}
    (tmp_path / "lost").unlink()
    assert numbers(repository) == {"m": [1, 2]}, "gone is gone"


def test_versions_that_come_and_go_during_a_look_do_not_break_it(
    repository: DirectoryRepository, tmp_path: Path
) -> None:
    plain(tmp_path / "m" / "1")
    stop = threading.Event()

    def coming_and_going() -> None:
        while not stop.is_set():
            write_version(tmp_path / "m" / "2", full_manifest("d"))
            write_version(tmp_path / "n" / "1", full_manifest("d"))
            shutil.rmtree(tmp_path / "m" / "2")
            shutil.rmtree(tmp_path / "n")

    thread = threading.Thread(target=coming_and_going)
    thread.start()
    try:
        for _ in range(300):
            assert 1 in numbers(repository)["m"]
    finally:
        stop.set()
        thread.join()


# --- What is wrong with a version -------------------------------------------------------------------------------------


def test_a_plain_saved_model_has_no_manifest_and_no_problem(repository: DirectoryRepository, tmp_path: Path) -> None:
    plain(tmp_path / "m" / "1")
    listing = only(repository)
    assert (listing.manifest, listing.problem) == (None, None)
    assert repository.damage(listing) is None
    assert repository.golden(listing) is None


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "this is not a SavedModel, or not all of it yet"),
        ({"variables/variables.index": b""}, "not a SavedModel"),
        ({**SAVED_MODEL, str(GOLDEN): b""}, "was not completely written or copied"),
        ({**SAVED_MODEL, str(MANIFEST): b"{"}, "the manifest cannot be read"),
        ({**SAVED_MODEL, str(MANIFEST): b""}, "the manifest cannot be read"),
        ({**SAVED_MODEL, str(MANIFEST): b"\xff\xfe"}, "utf-8"),
        ({**SAVED_MODEL, str(MANIFEST): b"[" * 100_000}, "the manifest cannot be read"),
        ({**SAVED_MODEL, str(MANIFEST): b'{"format": "graft/v9"}'}, "not a manifest of format graft/v1"),
        ({**SAVED_MODEL, str(MANIFEST / "directory"): b""}, "directory"),
        ({**SAVED_MODEL, "assets.extra": b"a file"}, "irectory"),
    ],
)
def test_what_is_not_whole_is_listed_with_its_problem(
    repository: DirectoryRepository, tmp_path: Path, files: dict[str, bytes], problem: str
) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    write_files(tmp_path / "m" / "1", files)
    listing = only(repository)
    assert listing.manifest is None
    assert listing.problem is not None
    assert problem in listing.problem


@pytest.mark.parametrize("change", ["saved_model.pb", "variables/variables.index", str(MANIFEST)])
def test_a_change_in_place_gives_another_stamp(repository: DirectoryRepository, tmp_path: Path, change: str) -> None:
    write_version(tmp_path / "m" / "1", full_manifest("d"))
    before = only(repository)
    file = tmp_path / "m" / "1" / change
    file.write_bytes(file.read_bytes() + b" ")
    assert only(repository).stamp != before.stamp


def test_a_version_that_is_completed_later_is_read_again(repository: DirectoryRepository, tmp_path: Path) -> None:
    (tmp_path / "m" / "1" / "variables").mkdir(parents=True)
    assert only(repository).problem
    plain(tmp_path / "m" / "1")
    assert only(repository).problem is None


# --- Damage -----------------------------------------------------------------------------------------------------------


def published(root: Path, repository: DirectoryRepository) -> Listing:
    write_version(root / "m" / "1", full_manifest("d"), golden=PAIR)
    return only(repository)


@pytest.mark.parametrize("path", ["saved_model.pb", "variables/variables.index", str(GOLDEN)])
@pytest.mark.parametrize("how", ["changed", "removed", "a directory"])
def test_a_file_that_is_not_what_was_published_is_damage(
    repository: DirectoryRepository, tmp_path: Path, path: str, how: str
) -> None:
    listing = published(tmp_path, repository)
    file = tmp_path / "m" / "1" / path
    if how == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    else:
        file.unlink()
    if how == "a directory":
        file.mkdir()
    damage = repository.damage(listing)
    assert damage is not None
    assert path in damage


def with_file(repository: DirectoryRepository, listing: Listing, path: str, digest: str | None) -> Listing:
    """The listing after its manifest came to name one file more, or one fewer, and was named after that."""
    place = listing.directory / MANIFEST
    manifest = Manifest.from_json(place.read_text())
    files = {name: known for name, known in manifest.files.items() if name != path}
    manifest = replace(manifest, files=files if digest is None else {**files, path: digest})
    place.write_text(replace(manifest, digest=content_digest(manifest)).to_json())
    return only(repository)


@pytest.mark.parametrize(
    "path", ["../../secret", "/etc/hostname", "variables/../../../secret", "link", "circle", "a\0b", "x" * 5000]
)
def test_a_manifest_that_names_files_elsewhere_is_damage_and_no_surprise(
    repository: DirectoryRepository, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret").write_text("s")
    listing = published(tmp_path, repository)
    (tmp_path / "m" / "1" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "m" / "1" / "circle").symlink_to("circle")
    assert repository.damage(with_file(repository, listing, path, "0" * 64))


def test_a_version_under_a_borrowed_name_is_damage(repository: DirectoryRepository, tmp_path: Path) -> None:
    """Graphs are shared by digest: whoever could claim another's would be answered by its graph."""
    listing = published(tmp_path, repository)
    assert listing.manifest is not None
    borrowed = replace(listing, manifest=replace(listing.manifest, digest="0" * 64))
    assert repository.damage(borrowed) == "the manifest's digest is not that of its files and labels"


@pytest.mark.parametrize(
    "change",
    [
        {"labels": LABELS[::-1]},
        {"cut": "logits"},
        {"base": BaseRef("base", 1, "another")},
        {"routes": {"serving_default": Route("features", AnswerForm.CLASSIFY)}},
    ],
)
def test_a_head_that_would_be_answered_otherwise_than_published_is_damage(
    repository: DirectoryRepository, tmp_path: Path, change: dict[str, Any]
) -> None:
    manifest = write_version(tmp_path / "h" / "1", head_manifest("d", "b", LABELS), head=head_of(LABELS), golden=PAIR)
    assert repository.damage(only(repository)) is None
    write_files(tmp_path / "h" / "1", {str(MANIFEST): replace(manifest, **change).to_json().encode()})
    assert repository.damage(only(repository)) == "the manifest's digest is not that of its files and labels"


@pytest.mark.parametrize("path", [HEAD, GOLDEN])
@pytest.mark.parametrize("there", [True, False])
def test_a_head_whose_manifest_leaves_out_its_numbers_or_its_proof_is_damage(
    repository: DirectoryRepository, tmp_path: Path, path: PurePosixPath, there: bool
) -> None:
    write_version(tmp_path / "h" / "1", head_manifest("d", "b", LABELS), head=head_of(LABELS), golden=PAIR)
    listing = only(repository)
    if not there:
        (tmp_path / "h" / "1" / path).unlink()
    without = with_file(repository, listing, str(path), None)
    assert f"{path} is not in the manifest" in str(repository.damage(without))
    with pytest.raises(ModelFailed, match="is not in the manifest"):
        repository.head(without)


@pytest.mark.parametrize("path", ["saved_model.pb", "variables/variables.index"])
def test_a_file_that_decides_answers_but_is_not_in_the_manifest_is_damage(
    repository: DirectoryRepository, tmp_path: Path, path: str
) -> None:
    listing = published(tmp_path, repository)
    assert f"{path} is not in the manifest" in str(repository.damage(with_file(repository, listing, path, None)))


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"PK\x03\x04" + b"\0" * 40, b"no archive", arrays(weights=np.ones((2, 3)))[:-30], arrays()],
)
def test_weights_and_pairs_that_cannot_be_read_are_a_failed_model(
    repository: DirectoryRepository, tmp_path: Path, content: bytes
) -> None:
    manifest = replace(head_manifest("d", "b", LABELS), files={str(GOLDEN): ""})
    write_version(tmp_path / "h" / "1", manifest, files={**SAVED_MODEL, str(HEAD): content, str(GOLDEN): content})
    listing = only(repository)
    with pytest.raises(ModelFailed):
        repository.head(listing)
    if content != arrays():
        with pytest.raises(ModelFailed):
            repository.golden(listing)


def test_an_archive_of_objects_is_not_unpickled(repository: DirectoryRepository, tmp_path: Path) -> None:
    content = arrays(weights=np.array([{"a": 1}], dtype=object), bias=np.ones(1))
    write_version(tmp_path / "h" / "1", head_manifest("d", "b", LABELS), golden=PAIR, files={str(HEAD): content})
    with pytest.raises(ModelFailed):
        repository.head(only(repository))


@pytest.mark.parametrize(
    "parts",
    [
        {"weights": np.ones((3, 3)), "bias": np.ones(3)},
        {"weights": np.ones((2, 3)), "bias": np.ones(3)},
        {"weights": np.ones(2), "bias": np.ones(2)},
        {"bias": np.ones(2)},
        {"weights": np.array([["a"], ["b"]]), "bias": np.ones(2)},
    ],
)
def test_parts_that_make_no_head_for_these_labels_are_a_failed_model(
    repository: DirectoryRepository, tmp_path: Path, parts: dict[str, np.ndarray]
) -> None:
    manifest = head_manifest("d", "b", LABELS)
    write_version(tmp_path / "h" / "1", manifest, golden=PAIR, files={str(HEAD): arrays(**parts)})
    with pytest.raises(ModelFailed, match="does not hold a head"):
        repository.head(only(repository))


def test_a_golden_pair_with_a_part_of_another_name_is_a_failed_model(
    repository: DirectoryRepository, tmp_path: Path
) -> None:
    write_version(
        tmp_path / "m" / "1",
        full_manifest("d"),
        files={**SAVED_MODEL, str(GOLDEN): arrays(**{"other/inputs/x": np.ones(1)})},
    )
    with pytest.raises(ModelFailed, match="no part of a golden pair"):
        repository.golden(only(repository))


# --- What a look examines ---------------------------------------------------------------------------------------------


def test_a_new_version_of_any_model_is_seen_at_the_next_look_though_none_is_examined_in_turn(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path, in_turn_s=0.0)
    for number in range(200):
        plain(tmp_path / f"m{number:03}" / "1")
    assert len(repository.scan()) == 200
    plain(tmp_path / "m042" / "2")
    plain(tmp_path / "new" / "1")
    shutil.rmtree(tmp_path / "m007")
    found = numbers(repository)
    assert (found["m042"], found["new"]) == ([1, 2], [1])
    assert "m007" not in found
    (tmp_path / "m042" / "2").rename(tmp_path / "m042" / ".2")
    (tmp_path / "m001").rename(tmp_path / "moved")
    found = numbers(repository)
    assert (found["m042"], found["moved"]) == ([1], [1])
    assert "m001" not in found
    plain(tmp_path / "moved" / "3")
    assert numbers(repository)["moved"] == [1, 3], "what was moved is watched under its new name"


def test_a_change_inside_a_version_is_found_when_its_turn_comes(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path, in_turn_s=0.0)
    plain(tmp_path / "m" / "1")
    before = only(repository)
    write_files(tmp_path / "m" / "1", {"saved_model.pb": b"another graph"})
    assert only(repository) is before, "nobody tells of it, and no turn was given"
    patient = DirectoryRepository(tmp_path)
    before = only(patient)
    write_files(tmp_path / "m" / "1", {"saved_model.pb": b"yet another graph"})
    assert only(patient).stamp != before.stamp


def test_what_changed_is_examined_again_at_the_next_look(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path, in_turn_s=0.0)
    plain(tmp_path / "m" / "1")
    repository.scan()
    plain(tmp_path / "m" / "2")
    repository.scan()
    write_files(tmp_path / "m" / "2", {"saved_model.pb": b"still being copied"})
    stamp = repository.scan()["m"][1].stamp
    write_files(tmp_path / "m" / "2", {"saved_model.pb": b"still being copied, and more"})
    assert repository.scan()["m"][1].stamp != stamp


def test_a_repository_in_the_place_of_another_is_read_whole(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for place in (root, tmp_path / "next"):
        plain(place / "m" / "1")
    plain(tmp_path / "next" / "m" / "2")
    repository = DirectoryRepository(root, in_turn_s=0.0)
    assert numbers(repository) == {"m": [1]}
    root.rename(tmp_path / "before")
    (tmp_path / "next").rename(root)
    assert numbers(repository) == {"m": [1, 2]}


def test_where_nothing_is_told_turns_find_everything(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path, told=False)
    plain(tmp_path / "m" / "1")
    assert numbers(repository) == {"m": [1]}
    plain(tmp_path / "m" / "2")
    plain(tmp_path / "n" / "1")
    assert numbers(repository) == {"m": [1, 2], "n": [1]}


def test_of_a_manifest_only_what_serving_asks_for_is_kept_and_once_what_is_alike(
    repository: DirectoryRepository, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        manifest = replace(head_manifest("d", "base", LABELS), provenance={"recipe": {"long": "story"}})
        write_version(tmp_path / name / "1", manifest, head=head_of(LABELS), golden=PAIR)
    one, other = (listings[0].manifest for listings in repository.scan().values())
    assert one is not None
    assert other is not None
    assert one.provenance == {}
    assert set(one.files) == {"saved_model.pb", str(HEAD), str(GOLDEN)}
    assert one.labels is other.labels
    assert one.input is other.input
    assert one.routes is other.routes
    assert one.base is other.base


# --- Base paths of their own ------------------------------------------------------------------------------------------


def test_a_base_path_is_listed_under_the_name_it_was_given(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path / "root")
    plain(tmp_path / "elsewhere" / "0007")
    plain(tmp_path / "elsewhere" / "12")
    (tmp_path / "elsewhere" / "notes").mkdir()
    listings = repository.list_versions("m", tmp_path / "elsewhere", ())
    assert [str(one.id) for one in listings] == ["m@7", "m@12"]
    assert listings[0].directory == tmp_path / "elsewhere" / "0007"


def test_what_did_not_change_in_a_base_path_is_not_read_again(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    for version in ("1", "2"):
        write_version(tmp_path / "m" / version, base_manifest("?"))
    before = repository.list_versions("m", tmp_path / "m", ())
    write_files(tmp_path / "m" / "2", {"saved_model.pb": b"another graph"})
    after = repository.list_versions("m", tmp_path / "m", before)
    assert after[0] is before[0]
    assert after[1].stamp != before[1].stamp


def test_weights_alone_that_change_are_noticed(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    plain(tmp_path / "m" / "1")
    before = only(repository)
    write_files(tmp_path / "m" / "1", {"variables/variables.data-00000-of-00001": b"weights"})
    assert only(repository).stamp != before.stamp


def test_a_missing_base_path_is_an_error_and_an_empty_one_is_not(tmp_path: Path) -> None:
    repository = DirectoryRepository(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        repository.list_versions("m", tmp_path / "m", ())
    (tmp_path / "m").mkdir()
    assert repository.list_versions("m", tmp_path / "m", ()) == ()
