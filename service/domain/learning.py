"""What kind of question a model is taught to answer about one item."""

from __future__ import annotations

from enum import StrEnum


class LearningTask(StrEnum):
    """The task of a head, as recipes, manifests and reports name it."""

    BINARY = "binary"
    """One of two classes; the second in label order is the one that thresholds, precision and recall speak of."""
    MULTICLASS = "multiclass"
    """One of K classes."""
    MULTILABEL = "multilabel"
    """Any number of K labels, none included."""
    REGRESSION = "regression"
    """M numbers."""
