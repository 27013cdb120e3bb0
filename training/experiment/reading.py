"""Finding and reading an experiment: one that ships with the trainer, by name, or a file (YAML or JSON)."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from training.errors import BadRecipe
from training.experiment.schema import Experiment

SUFFIX = ".yaml"
TAGS = frozenset({"network", "probe", "classical", "mlp", "cnn", "application"})
"""Tags that pydantic puts between the keys of a place."""


def shipped() -> tuple[str, ...]:
    """Names of the experiments that ship with the trainer."""
    folder = files("training.experiment") / "shipped"
    return tuple(sorted(one.name.removesuffix(SUFFIX) for one in folder.iterdir() if one.name.endswith(SUFFIX)))


def read_experiment(target: str, settings: Sequence[str] = (), quick: bool = False) -> Experiment:
    """The experiment of a name or a file, after settings such as ``repeats.sources=30``, ``arms.0.stages.0.epochs=5``.

    Args:
        quick: apply the experiment's own quick settings first.

    Raises:
        BadRecipe: there is no such experiment, or it is refused; all problems are named.
    """
    if target in shipped():
        text = (files("training.experiment") / "shipped" / f"{target}{SUFFIX}").read_text(encoding="utf-8")
    else:
        text = _file_text(target)
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadRecipe(f"{target} is neither YAML nor JSON: {error}") from error
    if not isinstance(raw, dict):
        raise BadRecipe(f"{target} holds no keys: an experiment begins with apiVersion")
    if quick:
        for key, value in (raw.get("quick") or {}).items():
            _set(raw, key, value)
    for setting in settings:
        key, separator, said = setting.partition("=")
        if not separator:
            raise BadRecipe(f"a setting is key=value, not {setting!r}")
        _set(raw, key, _value(said))
    return parse_experiment(raw)


def parse_experiment(raw: Mapping[str, Any]) -> Experiment:
    """Read a whole experiment. Raises: BadRecipe, with every problem found."""
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        schema = Experiment.model_json_schema()
        known = sorted({key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})})
        problems = [_problem(dict(problem), known) for problem in error.errors()]
        raise BadRecipe("the experiment is refused: " + "; ".join(problems), {"problems": problems}) from error


def digest(experiment: Experiment) -> str:
    """Names what is computed: the same for experiments that would give the same results."""
    said = experiment.model_dump(mode="json", exclude={"quick", "question", "notes"})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _file_text(target: str) -> str:
    path = Path(target)
    if not path.exists():
        near = difflib.get_close_matches(target, shipped(), n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise BadRecipe(f"{target!r} is neither a file nor an experiment ({', '.join(shipped())}){meant}")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRecipe(f"cannot read the experiment {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRecipe(f"{path} is not text: {error}") from error


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place: Any = raw
    for parent in parents:
        place = _step(place, parent, key)
    if isinstance(place, list):
        _step(place, last, key)
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise BadRecipe(f"setting {key!r}: there is a value above it, not keys")


def _step(place: Any, part: str, key: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(part, {})
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise BadRecipe(f"setting {key!r}: there is no {part!r} to change")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _problem(problem: Mapping[str, Any], known: Sequence[str]) -> str:
    location = ".".join(str(part) for part in problem["loc"] if part not in TAGS)
    if problem["type"] != "extra_forbidden":
        return f"{location or 'experiment'}: {problem['msg']}"
    key = str(problem["loc"][-1])
    meant = difflib.get_close_matches(key, [other for other in known if other != key], n=1, cutoff=0.5)
    return f"unknown key {location!r}" + (f", did you mean {meant[0]!r}?" if meant else "")
