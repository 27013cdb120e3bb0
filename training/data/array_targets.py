"""What ``y`` of an NPZ file says is to be learned: [n] classes, [n, K] of 0 and 1, or [n] or [n, M] numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.data.gathering import Gathering
from training.data.labels import label_problem
from training.data.target_reading import One, TargetReader


def array_targets(y: NDArray[Any], labels: NDArray[Any] | None, gathering: Gathering) -> list[One | None] | None:
    """The target of every item, None where it is told to be faulty; None in whole when ``y`` is not for the task.

    Raises:
        Exception: whatever broken bytes make numpy raise.
    """
    match gathering.reading.task:
        case LearningTask.REGRESSION:
            return _numbers(y, labels, gathering)
        case LearningTask.MULTILABEL:
            return _sets(y, labels, gathering)
        case _:
            return _classes(y, gathering)


def _classes(y: NDArray[Any], gathering: Gathering) -> list[One | None] | None:
    findings, targets = gathering.findings, gathering.targets
    if y.ndim != 1:
        hint = ": did you mean task multilabel?" if y.ndim == 2 and y.dtype.kind in "iub" else ""
        findings.fault("wrong_rank", f"y must have one dimension, not the shape {list(y.shape)}{hint}", "y")
        return None
    if y.dtype.kind not in "iuUSb":
        hint = ": did you mean task regression?" if y.dtype.kind == "f" else ""
        findings.fault("wrong_type", f"y must hold whole numbers or strings, not {y.dtype}{hint}", "y")
        return None
    if y.dtype.kind == "b":
        y = y.astype(np.int64)
    found: list[One | None] = []
    for item in range(len(y)):
        place = f"item {item}"
        text = findings.attempt_item(partial(text_of, y, item), "bad_label", "the label is no text", place)
        one = None if text is None else targets.from_class(text, place)
        found.append(one)
        if one is None:
            findings.items += 1
        elif targets.wants(one):
            targets.saw(one)
    return found


def _sets(y: NDArray[Any], labels: NDArray[Any] | None, gathering: Gathering) -> list[One | None] | None:
    findings = gathering.findings
    if y.ndim != 2 or not y.shape[1]:
        findings.fault("wrong_rank", f"for multilabel y is [items, labels] of 0 and 1, not {list(y.shape)}", "y")
        return None
    if y.dtype.kind not in "iubf":
        findings.fault("wrong_type", f"for multilabel y holds 0 and 1, not {y.dtype}", "y")
        return None
    names = _names(labels, y.shape[1], gathering)
    if names is None:
        return None
    sound = np.asarray(np.isin(y, (0, 1)).all(axis=1))
    found: list[One | None] = []
    for item, row in enumerate(y):
        if not sound[item]:
            findings.items += 1
            odd = row[~np.isin(row, (0, 1))][0]
            findings.item_fault(
                "bad_flag", f"{odd} is neither 0 nor 1, which say whether it has a label", f"item {item}"
            )
            found.append(None)
            continue
        one = tuple(sorted(name for name, flag in zip(names, row, strict=True) if flag))
        found.append(one)
        if gathering.targets.wants(one):
            gathering.targets.saw(one)
    gathering.targets = _renamed(gathering, names)
    return found


def _numbers(y: NDArray[Any], labels: NDArray[Any] | None, gathering: Gathering) -> list[One | None] | None:
    findings = gathering.findings
    if y.ndim not in {1, 2} or (y.ndim == 2 and not y.shape[1]):
        findings.fault("wrong_rank", f"for regression y is [items] or [items, numbers], not {list(y.shape)}", "y")
        return None
    if y.dtype.kind not in "iuf":
        findings.fault("wrong_type", f"for regression y holds numbers, not {y.dtype}: did you mean multiclass?", "y")
        return None
    values = y.reshape(len(y), -1).astype(np.float64)
    given = gathering.reading.label
    names = given if given and labels is None else _names(labels, values.shape[1], gathering, prefix="value")
    if names is None or len(names) != values.shape[1]:
        findings.fault("length_mismatch", f"y holds {values.shape[1]} numbers an item, not {len(names or ())}", "y")
        return None
    gathering.targets = _renamed(gathering, names)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    found: list[One | None] = []
    for item, row in enumerate(values.tolist()):
        findings.items += 1
        if not finite[item]:
            findings.item_fault("label_not_finite", "the number to be learned is not finite", f"item {item}")
        found.append(tuple(row) if finite[item] else None)
    return found


def _names(labels: NDArray[Any] | None, count: int, gathering: Gathering, prefix: str = "") -> tuple[str, ...] | None:
    """The names of the columns of ``y``: those in the file, or numbers."""
    findings = gathering.findings
    if labels is None:
        return tuple(f"{prefix}{place}" if count > 1 or not prefix else prefix for place in range(count))
    if labels.shape != (count,) or labels.dtype.kind not in "US":
        message = f"labels must hold {count} names, one for each column of y, not {labels.dtype} {list(labels.shape)}"
        findings.fault("wrong_type", message, "labels")
        return None
    names = tuple(text_of(labels, place) for place in range(count))
    for place, name in enumerate(names):
        problem = label_problem(name) or ("two labels have this name" if names.count(name) > 1 else None)
        if problem:
            findings.fault("bad_label", f"{name!r}: {problem}", f"labels, item {place}")
    return names


def _renamed(gathering: Gathering, names: tuple[str, ...]) -> TargetReader:
    """A reader of targets that knows the names of the columns."""
    return TargetReader(replace(gathering.reading, label=names), gathering.findings)


def text_of(array: NDArray[Any], item: int) -> str:
    """The text of one entry. Raises: ValueError: its bytes are none."""
    value = array[item].item()
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()
