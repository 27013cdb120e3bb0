"""What a listing shows, and what of it is worth holding: literal values in, literal values out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from service.adapters.object_store.bucket import Stored
from service.adapters.object_store.stored_versions import (
    StoredVersion,
    claims_among,
    unsafe_path,
    versions_among,
    worth_holding,
)
from service.domain.artifact import GOLDEN, MANIFEST
from service.domain.versions import VersionId

EVERYTHING = 10**9


def stored(size: int = 1, tag: str = "t", at: float = 0.0) -> Stored:
    return Stored(size, tag, datetime.fromtimestamp(at, UTC))


def listing(*keys: str) -> Mapping[str, Stored]:
    return dict.fromkeys(keys, stored())


def test_versions_are_folders_with_numbers_below_models() -> None:
    found = versions_among(
        listing("m/1/saved_model.pb", "m/007/saved_model.pb", f"h/2/{MANIFEST}", "m/notes/a", "m/1", "readme", "/1/a")
    )
    assert {place: one.id for place, one in found.items()} == {
        "m/1": VersionId("m", 1),
        "m/007": VersionId("m", 7),
        "h/2": VersionId("h", 2),
    }


@pytest.mark.parametrize("key", [".datasets/1/a", "../1/a", "m/.1/a", "m/-1/a", "m/1e3/a", "m/1/"])
def test_hidden_and_misnamed_objects_are_nobodys(key: str) -> None:
    assert versions_among(listing(key)) == {}


@pytest.mark.parametrize(
    ("paths", "committed", "plain"),
    [
        (["saved_model.pb"], False, True),
        (["model.tflite"], False, True),
        (["variables/variables.index"], False, False),
        (["saved_model.pb", str(GOLDEN)], False, False),
        (["saved_model.pb", str(MANIFEST)], True, False),
        ([str(MANIFEST)], True, False),
    ],
)
def test_a_version_is_there_with_its_manifest_or_when_nobody_says_anything_of_it(
    paths: list[str], committed: bool, plain: bool
) -> None:
    one = StoredVersion(VersionId("m", 1), "m/1", dict.fromkeys(paths, stored()))
    assert (one.committed, one.plain) == (committed, plain)


def test_a_stamp_changes_with_any_object_and_with_nothing_else() -> None:
    def stamp(**files: Stored) -> str:
        return StoredVersion(VersionId("m", 1), "m/1", files).stamp

    first = stamp(a=stored(), b=stored())
    assert first == stamp(b=stored(at=5.0), a=stored())
    others = [
        stamp(a=stored()),
        stamp(a=stored(2), b=stored()),
        stamp(a=stored(tag="u"), b=stored()),
        stamp(a=stored(), c=stored()),
    ]
    assert first not in others
    assert len(set(others)) == len(others)


def test_claims_are_told_apart_from_versions() -> None:
    keys = ["m/.publishing/3", "m/.published/job", "m/3/saved_model.pb", "m/.publishing/x", ".publishing/1"]
    assert list(claims_among(keys)) == [VersionId("m", 3)]


@pytest.mark.parametrize("path", ["../x", "a/../b", "/a", "a//b", "a/", "./a", "a\0b", ""])
def test_paths_that_might_lie_elsewhere(path: str) -> None:
    assert unsafe_path(path)
    assert not unsafe_path("variables/a..b/.c")


def version(model: str, number: int, size: int = 1, at: float = 0.0) -> StoredVersion:
    return StoredVersion(VersionId(model, number), f"{model}/{number}", {"saved_model.pb": stored(size, at=at)})


A = [version("a", number, size=10, at=number) for number in (1, 2, 3)]
B = [version("b", number, size=10, at=10 + number) for number in (1, 2)]


@pytest.mark.parametrize(
    ("in_use", "bases", "keep", "room", "needed", "besides"),
    [
        ([], {}, 1, EVERYTHING, ["a/3", "b/2"], ["b/1", "a/2", "a/1"]),
        ([], {}, 2, EVERYTHING, ["a/3", "b/2", "a/2", "b/1"], ["a/1"]),
        # The newest are held whatever room there is; nothing besides.
        ([], {}, 1, 0, ["a/3", "b/2"], []),
        # Room for one more: the youngest. What does not fit ends it: nothing older goes before it.
        ([], {}, 1, 35, ["a/3", "b/2"], ["b/1"]),
        # What answers is never given up, nor is the base that it stands on.
        (["a/1"], {}, 1, 30, ["a/3", "b/2", "a/1"], []),
        ([], {"b/2": "a/1"}, 1, 0, ["a/3", "b/2", "a/1"], []),
        # Who is not in the store any more cannot be held.
        (["a/9", "c/1"], {"b/2": "c/1"}, 1, 0, ["a/3", "b/2"], []),
    ],
)
def test_what_is_worth_holding(
    in_use: list[str], bases: Mapping[str, str], keep: int, room: int, needed: list[str], besides: list[str]
) -> None:
    def id(place: str) -> VersionId:
        model, _, number = place.partition("/")
        return VersionId(model, int(number))

    on = {id(head): id(base) for head, base in bases.items()}
    held = worth_holding([*B, *A], [id(place) for place in in_use], on, keep, room)
    assert [one.place for one in held.needed] == needed
    assert [one.place for one in held.besides] == besides
