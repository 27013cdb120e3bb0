"""``train``: a preset or a recipe file, from its data to published versions, started by a person."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from service.domain.artifact import MANIFEST
from service.domain.progress import Failed
from training.builtin import SCHEME, materialise
from training.data.reading import Reading
from training.errors import BadBase, BadRecipe, TrainingFailed
from training.events import Emit
from training.presets import BASE, HEAD, PRESETS, preset
from training.publish import versions
from training.recipe import Recipe, VersionBase, read_recipe, with_settings
from training.task import Task
from training.workarea import WorkArea


def train(
    target: str, repository: Path, only: str | None, seed: int | None, settings: Sequence[str], emit: Emit
) -> int:
    """Run every recipe that ``target`` stands for; 0 when all ended well, 1 when one failed."""
    try:
        recipes = _recipes(target, only)
        if seed is not None:
            recipes = [with_settings(recipe, [f"seed={seed}"]) for recipe in recipes]
        recipes[-1] = with_settings(recipes[-1], settings)
        for recipe in recipes:
            _run(recipe, repository, emit)
    except TrainingFailed as error:
        emit(Failed(error.code, str(error), error.details))
        return 1
    return 0


def _recipes(target: str, only: str | None) -> list[Recipe]:
    if target in PRESETS:
        return [preset(target, part) for part in (BASE, HEAD) if only in {None, part}]
    path = Path(target)
    if not path.exists():
        raise BadRecipe(f"{target!r} is neither a preset ({', '.join(PRESETS)}) nor a recipe file")
    recipe = read_recipe(path)
    part = HEAD if isinstance(recipe.base, VersionBase) else BASE
    if only not in {None, part}:
        raise BadRecipe(f"{target} describes a {part}, not a {only}")
    return [recipe]


def _run(recipe: Recipe, repository: Path, emit: Emit) -> None:
    with tempfile.TemporaryDirectory(prefix="graft-") as name:
        scratch = Path(name)
        file = _data_file(recipe, scratch)
        if isinstance(recipe.base, VersionBase):
            from training.pipeline import HeadRun

            task = replace(_task(recipe, recipe.base, file, repository), replay=_replay_file(recipe, scratch))
            emit(HeadRun(task, recipe, WorkArea(scratch, task.identity()), emit, cut=recipe.base.cut).run())
        else:
            from training.base_run import run_base

            emit(run_base(recipe, file, repository, scratch, emit))


def _data_file(recipe: Recipe, scratch: Path) -> Path | None:
    if recipe.dataset is None:
        return None
    if recipe.dataset.uri.startswith(SCHEME):
        return materialise(recipe.dataset.uri, scratch, recipe.dataset.digest)
    path = Path(recipe.dataset.uri)
    if not path.exists():
        raise BadRecipe(f"dataset.uri: there is no file or folder {path}")
    return path


def _replay_file(recipe: Recipe, scratch: Path) -> Path | None:
    uri = recipe.head.classes.replay
    if uri is None:
        return None
    if uri.startswith(SCHEME):
        folder = scratch / "replay"
        folder.mkdir()
        return materialise(uri, folder)
    if not Path(uri).exists():
        raise BadRecipe(f"head.classes.replay: there is no file or folder {uri}")
    return Path(uri)


def _task(recipe: Recipe, base: VersionBase, file: Path | None, repository: Path) -> Task:
    if file is None or recipe.dataset is None:
        raise BadRecipe("a head is fitted on data: give dataset.uri")
    model, _, number = base.ref.partition("@")
    if number and not number.isdecimal():
        raise BadRecipe(f"base.ref is model or model@version, not {base.ref!r}")
    home = repository / model
    present = [version for version in versions(home) if (home / str(version) / MANIFEST).exists()]
    if not present or (number and int(number) not in present):
        raise BadBase(f"there is no base {base.ref} in {repository}; train it first")
    version = int(number) if number else present[-1]
    heads = versions(repository / recipe.name)
    return Task(
        head=recipe.name,
        base_model=model,
        base_version=version,
        base_directory=home / str(version),
        dataset_file=file,
        repository=repository,
        reading=Reading.of(recipe.dataset, recipe.head.task),
        recipe=recipe.model_dump(mode="json"),
        current=repository / recipe.name / str(heads[-1]) if heads else None,
    )
