"""The recipe: the declarative description of one training run, read strictly.

A key that is not known is refused with the one that was probably meant; a value out of range says what the range is.
Issue by issue the recipe grows here, and nowhere else is its shape known.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import BadRecipe
from training.seeds import LARGEST_SEED

API_VERSION = "transfer/v1"
MODEL_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
Width = Annotated[int, Field(ge=1, le=65_536)]


class Strict(BaseModel):
    """Every part of a recipe: immutable, without unknown keys, without silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class VersionBase(Strict):
    """A head is grown on a published version, ``model`` or ``model@7``."""

    kind: Literal["version"]
    ref: str = Field(min_length=1)
    cut: str = "auto"


class FitParams(Strict):
    """How a base from a builder is trained: a number of steps, not of epochs, so that it does not depend on size."""

    steps: int = Field(default=600, ge=1, le=1_000_000)
    batch: int = Field(default=64, ge=1, le=4_096)
    learning_rate: float = Field(default=1e-3, gt=0, le=1)


class MlpParams(Strict):
    """Dense layers. ``standardise`` puts the training data's mean and spread into the graph."""

    hidden: list[Width] = Field(default=[64, 64], min_length=1, max_length=16)
    standardise: bool = True


class CnnParams(Strict):
    """Convolutions (3x3, no padding), pooling, one dense layer. ``shape`` is needed for encoded images."""

    shape: list[Width] | None = Field(default=None, min_length=3, max_length=3)
    filters: list[Width] = Field(default=[32, 64], min_length=1, max_length=16)
    dense: Width = 128
    dropout: float = Field(default=0.25, ge=0, lt=1)


class MlpBase(Strict):
    """A new multilayer perceptron, trained on the dataset."""

    kind: Literal["builder"]
    name: Literal["mlp"]
    params: MlpParams = MlpParams()
    fit: FitParams = FitParams()


class CnnBase(Strict):
    """A new convolutional network, trained on the dataset."""

    kind: Literal["builder"]
    name: Literal["cnn"]
    params: CnnParams = CnnParams()
    fit: FitParams = FitParams()


class KerasFileParams(Strict):
    """What a ``.keras`` file does not say of itself."""

    labels: list[str] | None = Field(default=None, min_length=2)
    columns: list[str] | None = None
    shape: list[Width] | None = None
    """Needed when the model leaves its input size open."""
    rescale: float | None = Field(default=None, gt=0)
    """Factor on the input, for a model that was trained on 0..1 where images arrive as 0..255."""


class KerasFileBase(Strict):
    """A finished Keras model, taken as it is."""

    kind: Literal["keras_file"]
    ref: str = Field(min_length=1)
    params: KerasFileParams = KerasFileParams()


BuilderBase = Annotated[MlpBase | CnnBase, Field(discriminator="name")]
AnyBase = Annotated[VersionBase | BuilderBase | KerasFileBase, Field(discriminator="kind")]


class DatasetChoice(Strict):
    """Which data: a file, or one that ships with a library (``builtin:digits:5-9``)."""

    uri: str = Field(min_length=1)
    format: Literal["zip", "csv", "npz"] | None = None
    label: str | None = None


class SplitChoice(Strict):
    """How the data is divided: ``test`` is the share of each class that is sealed."""

    test: float = Field(default=0.2, gt=0, lt=0.9)


class HeadChoice(Strict):
    """What is put on top. ``l2`` is the penalty on the weights (1/C), or chosen by cross-validation."""

    task: Literal["multiclass"] = "multiclass"
    l2: Literal["auto"] | Annotated[float, Field(gt=0, le=1e6)] = "auto"


class GateChoice(Strict):
    """Whether a candidate that is proven worse is kept from being published, and how much worse is worse."""

    mode: Literal["enforce", "record"] = "enforce"
    margin: float = Field(default=0.02, ge=0, le=1)


class Overrides(Strict):
    """What a tuning job may say: base and data come with the job."""

    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    split: SplitChoice = SplitChoice()
    head: HeadChoice = HeadChoice()
    gate: GateChoice = GateChoice()


class Recipe(Overrides):
    """One training run, whole."""

    apiVersion: Literal["transfer/v1"]  # noqa: N815 - the key in the file
    name: str = Field(pattern=MODEL_NAME)
    base: AnyBase
    dataset: DatasetChoice | None = None


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
    """Read a recipe file (JSON). Raises: BadRecipe."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRecipe(f"cannot read the recipe {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadRecipe(f"{path} is not JSON: {error}") from error
    return parse_recipe(raw)


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
        known = sorted(_keys(model.model_json_schema()))
        problems = [_problem(dict(problem), known) for problem in error.errors()]
        raise BadRecipe("the recipe is refused: " + "; ".join(problems), {"problems": problems}) from error


def _problem(problem: Mapping[str, Any], known: Sequence[str]) -> str:
    location = ".".join(str(part) for part in problem["loc"] if part not in {"builder", "version", "keras_file"})
    if problem["type"] != "extra_forbidden":
        return f"{location or 'recipe'}: {problem['msg']}"
    key = str(problem["loc"][-1])
    meant = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"unknown key {location!r}" + (f", did you mean {meant[0]!r}?" if meant else "")


def _keys(schema: Mapping[str, Any]) -> set[str]:
    """Every key that stands anywhere in a JSON schema."""
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
