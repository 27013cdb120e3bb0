"""Reading a recipe: from a file (YAML or JSON), from what a job says, and with settings from a command line.

A key that is not known is refused with the one that was probably meant; a value out of range says what the range is.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from training.errors import BadRecipe
from training.recipe.strict import Strict
from training.recipe.whole import Overrides, Recipe

KINDS = frozenset(
    {"version", "builder", "keras_file", "saved_model", "application", "ensemble", "mlp", "cnn", "bilstm"}
)
"""Tags that pydantic puts between the keys of a place, which are no keys themselves."""
OTHER_NAMES = {"lr": "learning_rate", "batch_size": "batch", "seeds": "seed", "val_split": "val", "layers": "hidden"}
"""What other programs call things."""

Model = TypeVar("Model", bound=Strict)


def parse_recipe(raw: Mapping[str, Any]) -> Recipe:
    """Read a whole recipe.

    Raises:
        BadRecipe: with every problem found; ``details['problems']`` lists them.
    """
    return _parse(Recipe, raw)


def parse_overrides(raw: Mapping[str, Any]) -> Overrides:
    """Read what a tuning job may say. Raises: BadRecipe, as ``parse_recipe``."""
    return _parse(Overrides, raw)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file, YAML or (which is YAML too) JSON. Raises: BadRecipe."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRecipe(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRecipe(f"{path} is not text: {error}") from error
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadRecipe(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(raw, dict):
        raise BadRecipe(f"{path} holds no keys: a recipe begins with apiVersion")
    return parse_recipe(raw)


def json_schema() -> dict[str, Any]:
    """The recipe's shape as a JSON Schema, for editors and for people."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe after ``head.l2=0.1``-like settings from a command line; values are JSON, or else plain text.

    Raises:
        BadRecipe: a setting is not of that form, or its key or value is refused.
    """
    raw = recipe.model_dump(mode="json")
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise BadRecipe(f"a setting is key=value, not {setting!r}")
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise BadRecipe(f"{key!r}: {parent!r} holds a value, not keys")
        try:
            place[last] = json.loads(text)
        except ValueError:
            place[last] = text
    return parse_recipe(raw)


def _parse(model: type[Model], raw: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        schema = model.model_json_schema()
        problems = [_problem(dict(problem), schema) for problem in error.errors()]
        raise BadRecipe("the recipe is refused: " + "; ".join(problems), {"problems": problems}) from error


def _problem(problem: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    *parents, key = problem["loc"] or ("",)
    location = ".".join(str(part) for part in problem["loc"] if part not in KINDS)
    if problem["type"] != "extra_forbidden":
        return f"{location or 'recipe'}: {problem['msg']}"
    known = sorted(_keys(schema, parents))
    meant = [OTHER_NAMES[key]] if OTHER_NAMES.get(key) in known else difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {meant[0]!r}?" if meant else f"there are {', '.join(known)}"
    return f"unknown key {location!r}, {hint}"


def _keys(schema: Mapping[str, Any], path: Sequence[Any]) -> set[str]:
    """The keys that a JSON schema knows at a place; of a union, those of the chosen part."""
    places = list(_parts(schema, schema))
    for step in path:
        following: list[Mapping[str, Any]] = []
        for place in places:
            tagged = place.get("discriminator", {}).get("mapping", {}).get(step)
            if isinstance(tagged, str):
                tagged = {"$ref": tagged}
            inner = tagged or place.get("properties", {}).get(step)
            following += _parts(inner, schema) if inner else ()
        # A step that is no key is the tag of a union that is nested in the one just taken apart.
        places = following or places
    return {key for place in places for key in place.get("properties", {})}


def _parts(place: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A place of a schema, behind its reference, and what it may be one of unless a tag decides that."""
    if "$ref" in place:
        place = schema["$defs"][place["$ref"].rpartition("/")[2]]
    yield place
    if "discriminator" not in place:
        for part in place.get("anyOf", ()):
            yield from _parts(part, schema)
