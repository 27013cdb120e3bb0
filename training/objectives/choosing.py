"""From what a recipe and its data say to the objective."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.learning import LearningTask
from training.data.contents import in_label_order
from training.data.targets import KIND_OF_TARGETS, Classes, LabelSets, Targets, Values
from training.errors import BadRecipe
from training.objectives.objective import Objective
from training.objectives.sigmoid import SigmoidObjective
from training.objectives.softmax import SoftmaxObjective
from training.objectives.squared import SquaredObjective
from training.recipe import HeadChoice

AUTO_START = 0.5
"""The threshold in force until one has been found on items the head was not fitted on."""


def objective_for(
    task: LearningTask, targets: Targets, *, labels: Sequence[str] | None, choice: HeadChoice
) -> Objective:
    """The objective of a task.

    Args:
        targets: of the training items: classes are taken from them where ``labels`` is None, and values are scaled by
            them.
        labels: the classes and their order where they are known.

    Raises:
        BadRecipe: the data does not hold what the task needs, or the recipe asks for what the task has not.
    """
    if not isinstance(targets, KIND_OF_TARGETS[task]):
        raise BadRecipe(f"head.task {task} does not go with this data: it holds {_words(targets)}")
    threshold = AUTO_START if choice.threshold == "auto" else float(choice.threshold)
    if isinstance(targets, Values):
        if labels is not None and tuple(labels) != targets.names:
            raise BadRecipe("dataset.labels is for classes; the names of values come from the data")
        if choice.label_smoothing:
            raise BadRecipe("head.label_smoothing is not for regression")
        return SquaredObjective.of(targets)
    if isinstance(targets, LabelSets):
        known = targets.known or in_label_order({label for labels_ in targets.sets for label in labels_})
        names = tuple(labels) if labels is not None else tuple(known)
        if not names:
            raise BadRecipe("no item has any label")
        return SigmoidObjective(names, choice.class_weight, choice.label_smoothing, (threshold,) * len(names))
    names = tuple(labels) if labels is not None else tuple(in_label_order(targets.labels))
    if len(names) < 2:
        raise BadRecipe(f"head.task {task} needs two classes at least, and the data has {len(names)}")
    if task is LearningTask.BINARY and len(names) != 2:
        raise BadRecipe(f"head.task binary needs two classes, and the data has {len(names)}")
    thresholds = (threshold,) if task is LearningTask.BINARY else ()
    return SoftmaxObjective(task, names, choice.class_weight, choice.label_smoothing, thresholds)


def _words(targets: Targets) -> str:
    if isinstance(targets, Classes):
        return "one class an item"
    return "numbers" if isinstance(targets, Values) else "a set of labels an item"
