"""What each task answers with, and parts that do not go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.domain.errors import InvalidInput
from service.domain.heads import cut_parts, features_at, head_arrays, read_head
from service.domain.learning import LearningTask
from service.domain.replies import AnswerForm, Reply, sigmoid


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_two_classes_are_decided_by_the_threshold_and_listed_by_their_score() -> None:
    reply = Reply(("no", "yes"), LearningTask.BINARY, thresholds=(0.2,))
    logits = np.log(floats([0.9, 0.1], [0.75, 0.25], [0.4, 0.6]))
    answer = reply.outputs(logits, AnswerForm.PREDICT)
    assert answer["label"].tolist() == [b"no", b"yes", b"yes"]
    assert answer["classes"][:, 0].tolist() == [b"no", b"no", b"yes"]
    plain = Reply(("no", "yes"), LearningTask.BINARY).outputs(logits, AnswerForm.PREDICT)
    assert plain["label"].tolist() == [b"no", b"no", b"yes"]
    assert set(reply.outputs(logits, AnswerForm.CLASSIFY)) == {"classes", "scores"}


def test_labels_stand_alone_and_are_empty_below_their_threshold() -> None:
    reply = Reply(("a", "b"), LearningTask.MULTILABEL, thresholds=(0.5, 0.9))
    answer = reply.outputs(floats([2.0, 2.0], [-2.0, 3.0], [-1.0, -1.0]), AnswerForm.PREDICT)
    assert answer["labels"].tolist() == [[b"a", b""], [b"", b"b"], [b"", b""]]
    np.testing.assert_allclose(answer["probabilities"][0], 1 / (1 + np.exp(-2.0)), rtol=1e-6)
    classified = reply.outputs(floats([2.0, 2.0]), AnswerForm.CLASSIFY)
    assert classified["classes"].tolist() == [[b"a", b"b"]]


def test_values_come_with_intervals_where_they_are_known() -> None:
    reply = Reply(("v",), LearningTask.REGRESSION, half_widths=(1.5,))
    answer = reply.outputs(floats([10.0]), AnswerForm.PREDICT)
    assert {name: array.tolist() for name, array in answer.items()} == {
        "values": [[10.0]],
        "interval_low": [[8.5]],
        "interval_high": [[11.5]],
    }
    assert reply.outputs(floats([10.0], [2.0]), AnswerForm.REGRESS)["outputs"].tolist() == [10.0, 2.0]
    assert set(Reply(("v",), LearningTask.REGRESSION).outputs(floats([1.0]), AnswerForm.PREDICT)) == {"values"}


@pytest.mark.parametrize(
    ("labels", "task", "form"),
    [
        (("a", "b", "c"), LearningTask.MULTICLASS, AnswerForm.CLASSIFY),
        (("a", "b"), LearningTask.MULTILABEL, AnswerForm.CLASSIFY),
        (("v",), LearningTask.REGRESSION, AnswerForm.REGRESS),
        (("v", "w"), LearningTask.REGRESSION, None),
    ],
)
def test_each_task_has_its_contract_for_examples(
    labels: tuple[str, ...], task: LearningTask, form: AnswerForm | None
) -> None:
    reply = Reply(labels, task)
    assert reply.by_examples is form
    assert {each for each in AnswerForm if reply.gives(each)} == {AnswerForm.PREDICT, form} - {None}


@pytest.mark.parametrize(
    "parts",
    [
        {"labels": ("a", "b", "c"), "task": LearningTask.BINARY},
        {"labels": ("a", "b"), "task": LearningTask.BINARY, "thresholds": (0.1, 0.2)},
        {"labels": ("a", "b"), "task": LearningTask.MULTILABEL, "thresholds": (0.1,)},
        {"labels": ("a", "b"), "thresholds": (0.1,)},
        {"labels": ("a", "b"), "half_widths": (0.1, 0.2)},
        {"labels": ("v", "w"), "task": LearningTask.REGRESSION, "half_widths": (1.0,)},
        {"labels": ("v", "w"), "task": LearningTask.REGRESSION, "thresholds": (0.5,)},
    ],
)
def test_parts_that_do_not_go_together(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Reply(**parts)


def test_sigmoids_of_huge_numbers_are_certain() -> None:
    assert sigmoid(floats([-1e30, 0.0, 1e30])).tolist() == [[0.0, 0.5, 1.0]]


def test_heads_written_before_there_were_other_tasks_still_read() -> None:
    arrays = {"weights": np.ones((3, 2), np.float32), "bias": np.zeros(3, np.float32)}
    head = read_head(arrays, ("a", "b", "c"), "multiclass")
    assert (head.task, head.thresholds) == (LearningTask.MULTICLASS, ())
    assert set(head_arrays(head)) == {"weights", "bias"}
    with pytest.raises(ValueError, match="clustering"):
        read_head(arrays, ("a", "b", "c"), "clustering")


def test_features_at_one_cut_or_at_several_side_by_side() -> None:
    outputs = {"a": floats([1.0]), "b": floats([2.0, 3.0]), "a+b": floats([9.0])}
    assert features_at(outputs, "b").tolist() == [[2.0, 3.0]]
    assert features_at(outputs, "b+a").tolist() == [[2.0, 3.0, 1.0]]
    assert features_at(outputs, "a+b").tolist() == [[9.0]], "a cut of that very name comes first"
    assert cut_parts("x+y", outputs) == ("x", "y")
    with pytest.raises(KeyError):
        features_at(outputs, "x")
