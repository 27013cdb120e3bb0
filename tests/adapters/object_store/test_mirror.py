"""A directory that is kept as a real S3 server is, also when that fails in every way there is."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published import SAVED_MODEL, write_files, write_version
from s3_server import OwnBucket
from serving_fakes import full_manifest, head_manifest, head_of
from unlucky_proxy import Luck, unlucky

from service.adapters.object_store import Bucket, Cache, Mirror, MirroredRepository
from service.adapters.object_store.sweeping import GRACE_S
from service.adapters.repositories import DirectoryRepository
from service.application.ports import GoldenPair, Listing
from service.domain.artifact import MANIFEST, BaseRef, Manifest, content_digest
from service.domain.versions import VersionId

PAIR = GoldenPair("serving_default", {"x": np.ones((2, 3), np.float32)}, {"y": np.zeros((2, 3), np.float32)})
EVERYTHING = 1 << 40
READS = {"GET", "HEAD"}


class Told:
    """What an observer was told."""

    def __init__(self) -> None:
        self.looks: list[bool] = []
        self.fetched: list[str] = []
        self.refused: list[str] = []
        self.held = (0, 0)

    def store_looked(self, reachable: bool, seconds: float) -> None:
        self.looks.append(reachable)

    def version_fetched(self, version: VersionId, size_bytes: int, seconds: float) -> None:
        self.fetched.append(str(version))

    def version_refused(self, version: VersionId) -> None:
        self.refused.append(str(version))

    def cache_held(self, versions: int, size_bytes: int) -> None:
        self.held = (versions, size_bytes)


class Replica:
    """One mirror with a repository over it."""

    def __init__(self, bucket: Bucket, root: Path, keep: int = 1, room: int = EVERYTHING) -> None:
        self.root, self.told, self.now, self.in_use = root, Told(), 0.0, set[VersionId]()
        self.mirror = Mirror(
            bucket, Cache(root), self.told, lambda: self.in_use, keep=keep, most_bytes=room, monotonic=lambda: self.now
        )
        self.repository = MirroredRepository(DirectoryRepository(root), self.mirror)

    def look(self, times: int = 1) -> dict[str, list[int]]:
        """Look, wait for what that started, and look at what is served."""
        for _ in range(times):
            self.mirror.look()
            self.mirror.settle()
        return self.numbers()

    def numbers(self) -> dict[str, list[int]]:
        return {model: [one.id.version for one in found] for model, found in self.repository.scan().items()}

    def only(self) -> Listing:
        ((listing,),) = self.repository.scan().values()
        return listing

    def leftovers(self) -> list[Path]:
        return list(self.root.rglob(".mirroring-*"))


@pytest.fixture
def replica(theirs: OwnBucket, tmp_path: Path) -> Iterator[Replica]:
    made = Replica(theirs.ours(), tmp_path / "cache")
    yield made
    made.mirror.close()
    assert made.leftovers() == []


@pytest.fixture
def luck() -> Luck:
    return Luck()


@pytest.fixture
def unlucky_one(theirs: OwnBucket, tmp_path: Path, luck: Luck) -> Iterator[Replica]:
    with unlucky(theirs.endpoint, luck) as address:
        made = Replica(theirs.ours(address), tmp_path / "cache")
        yield made
        if luck.gate is not None:
            luck.gate.set()
        made.mirror.close()
        assert made.leftovers() == []


def publish(theirs: OwnBucket, place: str, tmp_path: Path, digest: str = "d") -> Manifest:
    folder = tmp_path / "made" / place
    manifest = write_version(
        folder, full_manifest(digest), golden=PAIR, files={**SAVED_MODEL, "assets/x": place.encode()}
    )
    theirs.put_folder(folder, place)
    return manifest


def plain(theirs: OwnBucket, place: str, content: bytes = b"a graph") -> None:
    for path, bytes_ in {**SAVED_MODEL, "saved_model.pb": content}.items():
        theirs.put(f"{place}/{path}", bytes_)


# --- What comes and goes ----------------------------------------------------------------------------------------------


def test_a_published_version_is_served_whole_and_gone_when_it_is_gone(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    assert replica.look() == {}
    publish(theirs, "m/1", tmp_path)
    publish(theirs, "m/2", tmp_path)
    assert replica.look() == {"m": [1, 2]}
    listing = replica.repository.scan()["m"][1]
    assert replica.repository.damage(listing) is None
    assert replica.repository.golden(listing) is not None
    assert (listing.directory / "assets/x").read_bytes() == b"m/2"
    theirs.remove("m/2/")
    assert replica.look() == {"m": [1]}
    theirs.remove("m/")
    assert replica.look() == {}
    assert not (replica.root / "m").exists()


def test_a_version_is_there_with_its_manifest_and_not_before(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    manifest = theirs.read(f"m/1/{MANIFEST}")
    theirs.remove(f"m/1/{MANIFEST}")
    assert replica.look(3) == {}
    theirs.put(f"m/1/{MANIFEST}", manifest)
    assert replica.look() == {"m": [1]}
    theirs.remove(f"m/1/{MANIFEST}")
    assert replica.look() == {}


def test_a_version_without_a_manifest_is_there_when_it_was_the_same_at_two_looks(
    replica: Replica, theirs: OwnBucket
) -> None:
    theirs.put("m/1/variables/variables.index", b"names")
    assert replica.look(2) == {}
    theirs.put("m/1/saved_model.pb", b"half a")
    assert replica.look() == {}
    theirs.put("m/1/saved_model.pb", b"a graph")
    assert replica.look() == {}
    assert replica.look() == {"m": [1]}
    stamp = replica.only().stamp
    theirs.put("m/1/variables/variables.data-00000-of-00001", b"more")
    assert replica.look() == {"m": [1]}
    assert replica.only().stamp == stamp, "what is being copied over it is not taken yet"
    assert replica.look() == {"m": [1]}
    assert replica.only().stamp != stamp


def test_what_changes_in_place_takes_the_place_of_what_was_there(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    replica.look()
    before = replica.only()
    write_files(tmp_path / "made/m/1", {"assets/x": b"another"})
    shutil.rmtree(tmp_path / "made/m/1/assets.extra")
    files = {**SAVED_MODEL, "assets/x": b"another"}
    write_version(tmp_path / "made/m/1", full_manifest("e"), golden=PAIR, files=files)
    theirs.put_folder(tmp_path / "made/m/1", "m/1")
    replica.look()
    assert replica.only().stamp != before.stamp
    assert replica.repository.damage(replica.only()) is None
    assert (replica.only().directory / "assets/x").read_bytes() == b"another"


def test_what_did_not_change_is_asked_for_by_one_listing_and_nothing_else(
    unlucky_one: Replica, theirs: OwnBucket, tmp_path: Path, luck: Luck
) -> None:
    for number in range(1, 6):
        publish(theirs, f"m{number}/1", tmp_path)
    unlucky_one.look()
    found = unlucky_one.repository.scan()
    luck.seen.clear()
    unlucky_one.look(3)
    assert dict(luck.seen) == {"GET list": 3}
    assert unlucky_one.repository.scan() is found


def test_folders_as_tools_draw_them_and_objects_beside_versions_disturb_nobody(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    for key in ("m/", "m/1/", "m/1/variables/", "readme.txt", "m/notes/a", "../1/saved_model.pb", ".hidden/1/x"):
        theirs.put(key, b"")
    assert replica.look(2) == {"m": [1]}


# --- What is wrong with a version -------------------------------------------------------------------------------------


def only_problem(replica: Replica) -> str:
    listing = replica.only()
    assert listing.manifest is None
    assert listing.problem is not None
    return listing.problem


@pytest.mark.parametrize("path", ["saved_model.pb", "variables/variables.index", "assets/x"])
def test_a_file_that_is_not_what_was_published_is_not_let_in_and_its_status_says_why(
    replica: Replica, theirs: OwnBucket, tmp_path: Path, path: str
) -> None:
    publish(theirs, "m/1", tmp_path)
    right = theirs.read(f"m/1/{path}")
    theirs.put(f"m/1/{path}", b"!" * len(right))
    assert replica.look() == {"m": [1]}
    assert path in only_problem(replica)
    assert "not the file that was published" in only_problem(replica)
    assert replica.told.refused == ["m@1"]
    theirs.put(f"m/1/{path}", right)
    assert replica.look() == {"m": [1]}
    assert replica.only().problem is None


def test_what_was_refused_goes_with_what_it_was_about(replica: Replica, theirs: OwnBucket, tmp_path: Path) -> None:
    publish(theirs, "m/1", tmp_path)
    theirs.put("m/1/saved_model.pb", b"wrong")
    assert replica.look() == {"m": [1]}
    theirs.remove("m/1/")
    assert replica.look() == {}
    assert not (replica.root / "m").exists()


def test_what_was_let_in_stays_when_what_comes_after_it_is_wrong(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    replica.look()
    before = replica.only()
    theirs.put("m/1/saved_model.pb", b"wrong")
    replica.look()
    assert replica.told.refused == ["m@1"]
    assert replica.only() is before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "cannot be read"),
        (b"\xff\xfe", "utf-8"),
        (b'{"format": "graft/v9"}', "not a manifest of format"),
        (b"", "cannot be read"),
    ],
)
def test_a_manifest_that_is_none_is_not_let_in(
    replica: Replica, theirs: OwnBucket, tmp_path: Path, content: bytes, problem: str
) -> None:
    publish(theirs, "m/1", tmp_path)
    theirs.put(f"m/1/{MANIFEST}", content)
    replica.look()
    assert problem in only_problem(replica)


def test_a_manifest_under_a_borrowed_name_or_with_a_file_that_is_not_there_is_not_let_in(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    manifest = publish(theirs, "m/1", tmp_path)
    theirs.put(f"m/1/{MANIFEST}", replace(manifest, digest="0" * 64).to_json().encode())
    replica.look()
    assert "digest is not that of its files" in only_problem(replica)
    more = replace(manifest, files={**manifest.files, "assets/none": "0" * 64})
    theirs.put(f"m/1/{MANIFEST}", replace(more, digest=content_digest(more)).to_json().encode())
    replica.look()
    assert "assets/none is in the manifest and not in the store" in only_problem(replica)


@pytest.mark.parametrize("name", ["../escaped", "a/../../../escaped", "a//b", "saved_model.pb/below", "x" * 300])
def test_names_that_no_file_may_have_come_to_no_place(
    replica: Replica, theirs: OwnBucket, tmp_path: Path, name: str
) -> None:
    publish(theirs, "m/1", tmp_path)
    publish(theirs, "n/1", tmp_path)
    theirs.put(f"m/1/{name}", b"e")
    replica.look()
    assert replica.look()["n"] == [1], "another model is not kept waiting"
    problem = replica.repository.scan()["m"][0].problem
    assert problem is not None
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_version_that_was_refused_is_asked_for_again_after_ever_longer_pauses(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    theirs.put("m/1/saved_model.pb", b"wrong")
    tries = []
    for second in range(200):
        replica.now = float(second)
        replica.look()
        tries.append(len(replica.told.refused))
    assert [second for second in range(1, 200) if tries[second] > tries[second - 1]] == [1, 3, 7, 15, 31, 63, 123, 183]


# --- What is wrong with the store -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_store_that_refuses_takes_nothing_away_and_heals(
    unlucky_one: Replica, theirs: OwnBucket, tmp_path: Path, luck: Luck, status: int
) -> None:
    publish(theirs, "m/1", tmp_path)
    unlucky_one.look()
    publish(theirs, "m/2", tmp_path)
    theirs.remove("m/1/")
    luck.status, luck.meant = status, lambda method, path: True
    assert unlucky_one.look(2) == {"m": [1]}
    assert "cannot be read" in str(unlucky_one.mirror.status.problem)
    luck.status = 0
    assert unlucky_one.look(2) == {"m": [2]}
    assert unlucky_one.mirror.status.problem is None
    assert unlucky_one.told.looks == [True, False, False, True, True]


@pytest.mark.parametrize("harm", [{"status": 403}, {"status": 500}, {"cut": 3}, {"changed": True}])
def test_an_object_that_cannot_be_had_keeps_no_other_version_waiting_and_is_tried_again(
    unlucky_one: Replica, theirs: OwnBucket, tmp_path: Path, luck: Luck, harm: dict[str, Any]
) -> None:
    publish(theirs, "m/1", tmp_path)
    publish(theirs, "n/1", tmp_path)
    luck.meant = lambda method, path: path.endswith("/m/1/saved_model.pb")
    for name, value in harm.items():
        setattr(luck, name, value)
    assert unlucky_one.look() == {"m": [1], "n": [1]}
    assert "cannot be brought from the store now" in str(unlucky_one.repository.scan()["m"][0].problem)
    assert unlucky_one.repository.scan()["n"][0].problem is None
    assert unlucky_one.told.refused == []
    luck.meant = lambda method, path: False
    unlucky_one.now = 2.0
    unlucky_one.look()
    assert unlucky_one.repository.scan()["m"][0].problem is None


def test_a_version_that_vanishes_half_way_is_not_there_and_no_fault_of_the_stores(
    unlucky_one: Replica, theirs: OwnBucket, tmp_path: Path, luck: Luck
) -> None:
    publish(theirs, "m/1", tmp_path)
    luck.meant = lambda method, path: path.endswith(str(MANIFEST))
    luck.after = lambda path: theirs.remove("m/1/")
    assert unlucky_one.look() == {}
    assert unlucky_one.mirror.status.problem is None
    assert unlucky_one.told.refused == []


def test_a_slow_store_keeps_nobody_waiting_who_looks_at_what_is_held(
    unlucky_one: Replica, theirs: OwnBucket, tmp_path: Path, luck: Luck
) -> None:
    publish(theirs, "m/1", tmp_path)
    unlucky_one.look()
    publish(theirs, "n/1", tmp_path)
    publish(theirs, "o/1", tmp_path)
    luck.meant, luck.gate = lambda method, path: "/n/1/saved_model.pb" in path, threading.Event()
    unlucky_one.mirror.look()
    theirs.remove("m/1/")
    unlucky_one.mirror.look()
    assert "m" not in unlucky_one.numbers(), "a look does not wait for what is still coming"
    assert "n" not in unlucky_one.numbers()
    luck.gate.set()
    unlucky_one.mirror.settle()
    assert unlucky_one.numbers() == {"n": [1], "o": [1]}


def test_before_all_that_is_needed_is_there_the_repository_is_not_read(
    unlucky_one: Replica, theirs: OwnBucket, tmp_path: Path, luck: Luck
) -> None:
    for place in ("m/1", "m/2", "n/1"):
        publish(theirs, place, tmp_path)
    with pytest.raises(OSError, match="not all that is needed"):
        unlucky_one.numbers()
    luck.meant, luck.gate = lambda method, path: "/n/1/" in path, threading.Event()
    unlucky_one.mirror.look()
    with pytest.raises(OSError, match="not all that is needed"):
        unlucky_one.numbers()
    luck.gate.set()
    assert unlucky_one.look() == {"m": [1, 2], "n": [1]}


def test_what_was_held_before_is_served_though_the_store_is_gone(theirs: OwnBucket, tmp_path: Path, luck: Luck) -> None:
    publish(theirs, "m/1", tmp_path)
    first = Replica(theirs.ours(), tmp_path / "cache")
    first.look()
    first.mirror.close()
    with unlucky(theirs.endpoint, luck) as address:
        pass
    second = Replica(theirs.ours(address), tmp_path / "cache")
    assert second.look() == {"m": [1]}
    assert "cannot be read" in str(second.mirror.status.problem)
    second.mirror.close()


# --- The directory ----------------------------------------------------------------------------------------------------


def test_what_there_is_no_room_for_goes_the_oldest_first_and_never_what_answers(
    theirs: OwnBucket, tmp_path: Path
) -> None:
    for number in range(1, 6):
        publish(theirs, f"m/{number}", tmp_path)
    replica = Replica(theirs.ours(), tmp_path / "cache", room=3 * 1500)
    held = replica.look()["m"]
    assert 5 in held
    assert held != [1, 2, 3, 4, 5]
    assert held == list(range(6 - len(held), 6))
    replica.in_use = {VersionId("m", 1)}
    assert 1 in replica.look()["m"]
    replica.in_use = set()
    assert replica.look()["m"] == held
    assert replica.told.held[0] == len(held)
    replica.mirror.close()


def test_the_base_of_a_head_is_held_for_it_though_a_newer_one_is_there(theirs: OwnBucket, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        publish(theirs, f"base/{number}", tmp_path)
    manifest = replace(head_manifest("d", "b", ("a", "b")), base=BaseRef("base", 1, "digest"))
    write_version(tmp_path / "made/h/1", manifest, head=head_of(("a", "b")), golden=PAIR)
    theirs.put_folder(tmp_path / "made/h/1", "h/1")
    replica = Replica(theirs.ours(), tmp_path / "cache", room=0)
    assert replica.look(2) == {"base": [1, 3], "h": [1]}
    replica.mirror.close()


def test_what_did_not_come_from_the_store_is_left_alone(replica: Replica, theirs: OwnBucket, tmp_path: Path) -> None:
    write_version(replica.root / "m" / "1", full_manifest("mine"), golden=PAIR)
    publish(theirs, "m/1", tmp_path, "theirs")
    publish(theirs, "m/2", tmp_path)
    before = (replica.root / "m/1/assets.extra/graft/manifest.json").read_bytes()
    assert replica.look() == {"m": [1, 2]}
    theirs.remove("m/")
    assert replica.look() == {"m": [1]}
    assert (replica.root / "m/1/assets.extra/graft/manifest.json").read_bytes() == before


def test_a_version_that_somebody_removed_from_the_directory_is_brought_again(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    replica.look()
    shutil.rmtree(replica.root / "m/1")
    assert replica.look() == {"m": [1]}


def test_what_a_killed_process_left_is_removed_and_what_it_had_finished_is_not_fetched_again(
    theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    first = Replica(theirs.ours(), tmp_path / "cache")
    first.look()
    first.mirror.close()
    write_files(tmp_path / "cache/m/.mirroring-abc", SAVED_MODEL)
    second = Replica(theirs.ours(), tmp_path / "cache")
    assert second.look() == {"m": [1]}
    assert second.told.fetched == []
    assert second.leftovers() == []
    second.mirror.close()


def test_of_two_that_share_a_directory_one_writes_and_both_know(theirs: OwnBucket, tmp_path: Path) -> None:
    publish(theirs, "m/1", tmp_path)
    one, other = Replica(theirs.ours(), tmp_path / "cache"), Replica(theirs.ours(), tmp_path / "cache")
    assert one.look() == other.look() == {"m": [1]}
    assert (one.told.looks, other.told.looks) == ([True], [])
    assert one.mirror.status == other.mirror.status
    one.mirror.close()
    theirs.remove("m/1/")
    assert other.look() == {}
    other.mirror.close()


def test_a_directory_that_mirrored_another_store_holds_nothing_of_it_any_more(
    theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    first = Replica(theirs.ours(), tmp_path / "cache")
    first.look()
    first.mirror.close()
    second = Replica(OwnBucket.made(theirs.endpoint).ours(), tmp_path / "cache")
    assert second.look() == {}
    second.mirror.close()


# --- Uploads that came to nothing -------------------------------------------------------------------------------------


def test_what_a_killed_upload_left_goes_once_nothing_has_happened_to_it_for_long(
    replica: Replica, theirs: OwnBucket, tmp_path: Path
) -> None:
    publish(theirs, "m/1", tmp_path)
    theirs.put("m/.publishing/2", json.dumps({"job": "j"}).encode())
    theirs.put("m/2/saved_model.pb", b"a graph")
    replica.look()
    replica.now = GRACE_S - 1
    theirs.put("m/2/variables/variables.index", b"it goes on")
    replica.look()
    replica.now = GRACE_S + 1
    assert replica.look() == {"m": [1]}
    assert len(theirs.keys("m/2/")) == 2, "it has changed since"
    theirs.put("m/.published/j", json.dumps({"version": 2, "manifest": "{}"}).encode())
    theirs.put("m/.published/k", json.dumps({"version": 1, "manifest": "{}"}).encode())
    replica.now = 2 * GRACE_S
    replica.look()
    assert theirs.keys("m/2/") == []
    assert theirs.keys("m/.publish") == ["m/.published/k"]
    assert replica.look() == {"m": [1]}


def test_a_claim_that_outlived_its_version_goes_alone(replica: Replica, theirs: OwnBucket, tmp_path: Path) -> None:
    publish(theirs, "m/1", tmp_path)
    theirs.put("m/.publishing/1", b"{}")
    replica.look()
    replica.now = GRACE_S
    assert replica.look(2) == {"m": [1]}
    assert theirs.keys("m/.pub") == []
    assert theirs.keys("m/1/")
