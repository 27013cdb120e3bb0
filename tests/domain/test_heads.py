"""Heads: what they answer, and that company in a batch changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.heads import AnswerForm, Head, classifier_outputs, softmax


def random_head(classes: int, width: int, seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((classes, width)).astype(np.float32)
    return Head(weights, rng.standard_normal(classes).astype(np.float32), tuple(f"c{i}" for i in range(classes)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.sampled_from([1, 3, 7, 64, 257, 1280]), st.integers(1, 40), st.data())
def test_a_row_has_the_same_answer_to_the_last_bit_in_any_company(
    classes: int, width: int, rows: int, data: st.DataObject
) -> None:
    head = random_head(classes, width)
    features = np.random.default_rng(rows).standard_normal((rows, width)).astype(np.float32)
    together = head.answer(features, AnswerForm.PREDICT)
    chosen = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=rows))
    other = head.answer(features[chosen], AnswerForm.PREDICT)
    start = data.draw(st.integers(0, rows - 1))
    view = head.answer(features[start:], AnswerForm.PREDICT)
    for alias, array in together.items():
        assert array[chosen].tolist() == other[alias].tolist()
        assert array[start:].tolist() == view[alias].tolist()


def test_logits_are_the_linear_layer() -> None:
    head = random_head(4, 6)
    features = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    np.testing.assert_allclose(head.logits(features), features @ head.weights.T + head.bias, atol=1e-5)


def test_no_rows_give_no_rows() -> None:
    answer = random_head(4, 6).answer(np.zeros((0, 6), np.float32), AnswerForm.PREDICT)
    assert {alias: array.shape for alias, array in answer.items()} == {
        "probabilities": (0, 4),
        "classes": (0, 4),
        "scores": (0, 4),
    }


def test_softmax_is_a_distribution_even_for_huge_logits() -> None:
    result = softmax(np.array([[1e30, 0.0], [-1e30, -1e30], [3.0, 3.0]], np.float32))
    assert result.tolist() == [[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]
    assert result.dtype == np.float32


def test_the_best_five_come_first_and_equal_scores_stay_in_label_order() -> None:
    labels = ("a", "b", "c", "d", "e", "f")
    scores = np.array([[0.1, 0.3, 0.1, 0.3, 0.1, 0.1]], np.float32)
    answer = classifier_outputs(scores, labels, AnswerForm.PREDICT)
    assert answer["classes"].tolist() == [[b"b", b"d", b"a", b"c", b"e"]]
    assert answer["scores"].tolist() == [scores[0][[1, 3, 0, 2, 4]].tolist()]
    assert answer["probabilities"].tolist() == scores.tolist()


def test_ties_among_many_classes_stay_in_label_order_too() -> None:
    labels = [f"c{at:02}" for at in range(64)]
    answer = classifier_outputs(np.tile(np.float32([0.5, 0.25]), (1, 32)), labels, AnswerForm.PREDICT)
    assert answer["classes"].tolist() == [[b"c00", b"c02", b"c04", b"c06", b"c08"]]


def test_fewer_classes_than_five_are_all_given() -> None:
    answer = random_head(2, 3).answer(np.ones((1, 3), np.float32), AnswerForm.PREDICT)
    assert answer["classes"].shape == answer["scores"].shape == (1, 2)


def test_the_classification_contract_gives_every_class_in_label_order() -> None:
    answer = random_head(7, 3).answer(np.ones((2, 3), np.float32), AnswerForm.CLASSIFY)
    assert answer.keys() == {"classes", "scores"}
    assert answer["classes"].tolist() == [[f"c{i}".encode() for i in range(7)]] * 2
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "bias", "labels"),
    [((2, 3), (3,), ("a", "b")), ((2, 3), (2,), ("a",)), ((2,), (2,), ("a", "b")), ((2, 3), (2, 1), ("a", "b"))],
)
def test_parts_that_do_not_match_make_no_head(
    weights: tuple[int, ...], bias: tuple[int, ...], labels: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput):
        Head(np.zeros(weights, np.float32), np.zeros(bias, np.float32), labels)


def test_a_head_says_how_much_memory_it_holds() -> None:
    assert random_head(10, 1280).nbytes == 4 * (10 * 1280 + 10)
