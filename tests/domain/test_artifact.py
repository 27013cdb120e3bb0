"""The manifest: read back as written, and read from anywhere without a surprise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.artifact import (
    FORMAT,
    GOLDEN,
    HEAD,
    REPORT,
    BaseRef,
    InputKind,
    InputSpec,
    Manifest,
    ModelKind,
    Route,
    checksums,
    content_digest,
    version_number,
)
from service.domain.errors import InvalidInput
from service.domain.heads import AnswerForm

HEAD_MANIFEST = Manifest(
    kind=ModelKind.HEAD,
    task="multiclass",
    labels=("fünf", "six"),
    input=InputSpec(InputKind.IMAGE, (8, 8, 1), "image"),
    digest="d" * 64,
    files={"saved_model.pb": "0" * 64},
    base=BaseRef("digits", 3, "b" * 64),
    cut="embedding",
    routes={"serving_default": Route("features", AnswerForm.PREDICT), "classify": Route("f", AnswerForm.CLASSIFY)},
    temperature=1.25,
    provenance={"job_id": "j1", "seeds": [1, 2]},
)
BASE_MANIFEST = replace(
    HEAD_MANIFEST,
    kind=ModelKind.BASE,
    base=None,
    cut=None,
    routes={},
    features={"embedding": 64},
    input=InputSpec(InputKind.VECTOR, (2,), "x", ("height", "weight")),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def read(raw: Any) -> Manifest | None:
    """The manifest, or None when it was refused in the one way it may be."""
    try:
        return Manifest.from_json(raw if isinstance(raw, str) else json.dumps(raw))
    except InvalidInput:
        return None


@pytest.mark.parametrize("manifest", [HEAD_MANIFEST, BASE_MANIFEST])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


@settings(deadline=None)
@given(JSON)
def test_any_json_is_a_manifest_or_is_refused(raw: Any) -> None:
    assert read(raw) is None


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_manifest_with_any_part_replaced_is_refused_or_is_sound_all_through(data: st.DataObject) -> None:
    """What is let in is believed everywhere else, so every part of it has to be what its type says."""
    raw = json.loads(data.draw(st.sampled_from([HEAD_MANIFEST, BASE_MANIFEST])).to_json())
    place = raw
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(JSON)
        break
    manifest = read(raw)
    if manifest is None:
        return
    assert all(isinstance(text, str) for text in (*manifest.labels, *manifest.files, *manifest.files.values()))
    assert all(isinstance(size, int) for size in (*manifest.input.shape, *manifest.features.values()))
    assert isinstance(manifest.digest, str)
    assert isinstance(manifest.temperature, float)
    hash((manifest.digest, manifest.base, manifest.job_id, *manifest.routes.values()))
    assert read(manifest.to_json()) is not None


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"format": "graft/v1"}', "null", "9" * 5000, '"graft/v1"'])
def test_what_is_no_manifest_at_all_is_refused(text: str) -> None:
    assert read(text) is None


def test_a_later_format_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidInput, match=FORMAT):
        Manifest.from_json(json.dumps({**json.loads(HEAD_MANIFEST.to_json()), "format": "graft/v2"}))


def test_a_key_that_nobody_knows_is_refused() -> None:
    assert read({**json.loads(HEAD_MANIFEST.to_json()), "colour": "red"}) is None


def test_half_a_character_is_refused_because_no_door_could_say_it() -> None:
    assert read({**json.loads(HEAD_MANIFEST.to_json()), "labels": ["\ud800", "six"]}) is None


@pytest.mark.parametrize("part", ["base", "cut", "routes"])
def test_a_head_without_what_ties_it_to_its_base_is_refused(part: str) -> None:
    raw = json.loads(HEAD_MANIFEST.to_json())
    assert read({**raw, part: {} if part == "routes" else None}) is None


def test_a_base_without_features_is_refused() -> None:
    assert read({**json.loads(BASE_MANIFEST.to_json()), "features": {}}) is None


def test_a_version_is_named_by_what_decides_its_answers() -> None:
    files = {"saved_model.pb": "1", "variables/variables.index": "2", str(HEAD): "3", "assets/words.txt": "4"}

    def named(files: dict[str, str]) -> str:
        return content_digest(replace(HEAD_MANIFEST, files=files))

    name = named(files)
    for path in files:
        assert named({**files, path: "other"}) != name
        assert named({other: files[other] for other in files if other != path}) != name
    assert named({**files, str(REPORT): "5", str(GOLDEN): "6"}) == name
    assert named(dict(reversed(files.items()))) == name


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("six", "fünf")},
        {"kind": ModelKind.FULL},
        {"input": InputSpec(InputKind.IMAGE, (8, 8, 3), "image")},
        {"features": {"embedding": 64}},
        {"base": BaseRef("digits", 3, "c" * 64)},
        {"cut": "other"},
        {"routes": {"serving_default": Route("features", AnswerForm.CLASSIFY)}},
    ],
)
def test_a_version_is_named_by_how_its_answers_are_read(change: dict[str, Any]) -> None:
    assert content_digest(replace(HEAD_MANIFEST, **change)) != content_digest(HEAD_MANIFEST)


def test_a_version_keeps_its_name_when_its_base_moves_or_it_is_told_of_otherwise() -> None:
    moved = replace(HEAD_MANIFEST, base=BaseRef("numbers", 9, "b" * 64), provenance={}, digest="")
    assert content_digest(moved) == content_digest(HEAD_MANIFEST)
    assert content_digest(Manifest.from_json(moved.to_json())) == content_digest(moved)


@pytest.mark.parametrize(
    ("name", "number"),
    [("0", 0), ("007", 7), (str(2**63 - 1), 2**63 - 1), (str(2**63), None), ("9" * 200, None), ("٣", None), ("", None)],
)
def test_a_directorys_name_is_a_versions_number_or_none(name: str, number: int | None) -> None:
    assert version_number(name) == number


def test_checksums_are_in_the_form_that_sha256sum_reads() -> None:
    assert checksums({"b": "2", "a": "1"}) == "1  a\n2  b\n"


def test_a_manifest_knows_the_job_that_made_it() -> None:
    assert HEAD_MANIFEST.job_id == "j1"
    assert replace(HEAD_MANIFEST, provenance={}).job_id is None
