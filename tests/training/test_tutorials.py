"""The page of the tutorials names only what exists, and has exactly the rows it ought to have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from training.experiment.reading import parse_experiment, read_experiment, shipped
from training.experiment.schema import Experiment
from training.presets import PRESETS, preset
from training.recipe import json_schema

ROOT = Path(__file__).resolve().parents[2]
ROWS = {"G": 21, "B": 27, "Q": 24, "P": 15, "C": 17}
KINDS = "arm|bench|command|doc|experiment|preset|recipe|setting|test"


def table() -> dict[str, list[str]]:
    """Cells of each row by its id."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "tutorials.md").read_text().splitlines():
        match = re.match(r"\| ([A-Z]\d+) \|", line)
        if match:
            assert match[1] not in found, f"{match[1]} has two rows"
            found[match[1]] = [cell.strip() for cell in line.strip().strip("|").split("|")]
    return found


def references() -> Iterator[tuple[str, str, str]]:
    """Row, kind and name of everything that the page says covers a row."""
    for row, cells in table().items():
        for said in re.findall(r"`([^`]+)`", cells[2]):
            match = re.fullmatch(rf"({KINDS}):(.+)", said)
            assert match, f"{row}: {said!r} names nothing that could be looked up"
            yield row, match[1], match[2]


@cache
def functions(file: Path) -> frozenset[str]:
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE))


@cache
def recipe_schema() -> dict[str, Any]:
    return json_schema()


@cache
def experiment_schema() -> dict[str, Any]:
    return Experiment.model_json_schema()


@cache
def experiment_named(name: str) -> Experiment | None:
    return read_experiment(name) if name in shipped() else None


def alternatives(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema's part, and all that it may be: through references, unions and lists."""
    if "$ref" in part:
        yield from alternatives(schema, schema["$defs"][part["$ref"].rpartition("/")[2]])
        return
    yield part
    for one in (*part.get("anyOf", ()), *part.get("oneOf", ()), *([part["items"]] if "items" in part else ())):
        yield from alternatives(schema, one)


def is_key(schema: dict[str, Any], said: str) -> bool:
    """Whether ``a.b`` is a key of the schema, and ``a.b=c`` a value it may have."""
    path, _, value = said.partition("=")
    parts = [schema]
    for key in path.split("."):
        parts = [
            inner
            for part in parts
            for one in alternatives(schema, part)
            for inner in [one.get("properties", {}).get(key)]
            if inner is not None
        ]
    allowed = [one for part in parts for one in alternatives(schema, part)]
    return bool(parts) and (
        not value or any(one.get("const") == value or value in one.get("enum", ()) for one in allowed)
    )


def exists(kind: str, name: str) -> bool:
    match kind:
        case "experiment":
            found = experiment_named(name)
            return found is not None and found.name == name
        case "arm":
            experiment, _, arm = name.partition("/")
            found = experiment_named(experiment)
            return found is not None and arm in {one.name for one in found.arms}
        case "preset":
            return _is_preset(name)
        case "recipe":
            return is_key(recipe_schema(), name)
        case "setting":
            return is_key(experiment_schema(), name)
        case "command":
            words = name.split()
            settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
            return words[0] == "graft" and _is_command(words[1:], settings)
        case "doc":
            return (ROOT / "docs" / name).is_file()
        case "bench":
            return (ROOT / "benchmarks" / name).is_file()
        case _:
            file, _, function = name.partition("::")
            path = ROOT / "tests" / file
            return path.is_file() and function in functions(path)


@cache
def _is_preset(name: str) -> bool:
    return name in PRESETS and all(preset(name, part).name for part in PRESETS[name])


def _is_command(words: list[str], settings: list[str]) -> bool:
    from training.__main__ import main

    if words[0] == "experiment" and len(words) > 1:
        return bool(read_experiment(words[1], settings))
    with pytest.raises(SystemExit) as ended:
        main([words[0], "--help"])
    return ended.value.code == 0


def test_there_are_exactly_these_rows() -> None:
    assert sorted(table()) == sorted(f"{letter}{n}" for letter, rows in ROWS.items() for n in range(1, rows + 1))
    assert sum(ROWS.values()) == 104


def test_every_row_is_covered_by_something() -> None:
    covered = {row for row, _, _ in references()}
    assert set(table()) - covered == set()


@pytest.mark.parametrize(("row", "kind", "name"), list(references()))
def test_what_is_named_exists(row: str, kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exists(kind, name), f"{row}: there is no {kind} {name}"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("experiment", "blob"),
        ("arm", "blobs/fixed-3"),
        ("preset", "gerona"),
        ("recipe", "head.hiden"),
        ("recipe", "base.kind=magic"),
        ("setting", "repeats.seed"),
        ("test", "training/test_tutorials.py::test_nothing"),
        ("test", "training/test_nowhere.py::test_what_is_named_exists"),
        ("doc", "nowhere.md"),
        ("bench", "nowhere.py"),
    ],
)
def test_what_does_not_exist_is_seen(kind: str, name: str) -> None:
    assert not exists(kind, name)


def test_experiments_are_parsed_and_not_only_listed() -> None:
    # The look-up reads each in full: a shipped file with an unknown key would be refused, not found.
    found = read_experiment("blobs").model_dump(mode="json")
    assert parse_experiment(found).name == "blobs"
