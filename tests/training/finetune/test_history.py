"""How soon a training was nearly as good as it became."""

from __future__ import annotations

import json

import pytest

from training.finetune.history import History, Look


def history(*scores: float, seconds: float = 1.0) -> History:
    looks = tuple(Look(10 * at, at * seconds, None if at == 0 else 1.0, score, 0.1) for at, score in enumerate(scores))
    best = max(scores)
    return History(looks, looks[-1].step, looks[-1].seconds, "steps", 10 * scores.index(best), best)


def test_shares_of_a_score_from_nothing() -> None:
    reach = history(0.2, 0.85, 0.93, 1.0, 0.5).reach()
    assert {share: at["step"] for share, at in reach.items()} == {"90": 20, "95": 30, "99": 30}
    assert reach["90"]["seconds"] == 2.0


def test_shares_of_the_way_where_a_score_is_negative() -> None:
    reach = history(-10.0, -2.0, -1.0, -0.05, 0.0).reach()
    assert {share: at["step"] for share, at in reach.items()} == {"90": 20, "95": 30, "99": 30}


def test_a_training_that_began_at_its_best_is_there_at_once() -> None:
    assert history(0.9, 0.8, 0.7).reach()["99"] == {"step": 0, "seconds": 0.0}
    assert history(-0.1, -0.8).reach()["99"]["step"] == 0


def test_one_after_the_other_is_one_training() -> None:
    whole = history(0.2, 0.6).then(history(0.6, 0.7, 0.5))
    assert [look.step for look in whole.looks] == [0, 10, 20, 30]
    assert (whole.steps, whole.best_step, whole.best_score) == (30, 20, 0.7)
    assert whole.seconds == pytest.approx(3.0)
    assert history(0.2, 0.6).then(history(0.5, 0.5)).best_step == 10


def test_it_is_plain() -> None:
    assert json.loads(json.dumps(history(0.1, 0.2).to_dict()))["looks"][1]["step"] == 10
    assert History((), 0, 0.0, "steps").reach() == {}
