"""``recipe``: what a recipe may say, and one as it will be read, with everything it leaves unsaid."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from training.errors import BadRecipe
from training.presets import PRESETS, preset
from training.recipe import Recipe, json_schema, read_recipe


def show(target: str | None, schema: bool) -> int:
    """Print the JSON Schema, or a preset's recipes or a file's as YAML; 0, or 1 when it is refused."""
    if schema or target is None:
        print(json.dumps(json_schema(), indent=1))
        return 0
    try:
        recipes = [preset(target, part) for part in PRESETS[target]] if target in PRESETS else [_read(Path(target))]
    except BadRecipe as error:
        print(error, file=sys.stderr)
        return 1
    print("---\n".join(map(as_yaml, recipes)), end="")
    return 0


def as_yaml(recipe: Recipe) -> str:
    """The recipe with all its defaults, in the order of its documentation."""
    import yaml

    first = {"apiVersion": recipe.apiVersion, "name": recipe.name}
    return yaml.safe_dump({**first, **recipe.model_dump(mode="json")}, sort_keys=False, width=100, allow_unicode=True)


def _read(path: Path) -> Recipe:
    if not path.exists():
        raise BadRecipe(f"{str(path)!r} is neither a preset ({', '.join(PRESETS)}) nor a recipe file")
    return read_recipe(path)
