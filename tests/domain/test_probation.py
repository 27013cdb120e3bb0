"""Whether a canary goes on: bad ones end within few requests, good ones do not end by chance."""

from __future__ import annotations

import math
import random

import pytest

from service.domain.direction import Canary, Limits
from service.domain.probation import Seen, Verdict, chance, judged

CANARY = Canary(2, 5.0)


def seen(answered: int = 0, failed: int = 0, took: float = 0.01) -> Seen:
    found = Seen()
    for _ in range(answered):
        found.saw(False, took)
    for _ in range(failed):
        found.saw(True, took)
    return found


def test_nothing_seen_is_no_reason_for_anything() -> None:
    assert judged(CANARY, Seen(), Seen()).verdict is Verdict.GOES_ON


def test_one_that_fails_always_is_taken_back_at_its_first_requests() -> None:
    verdicts = [judged(CANARY, seen(1000), seen(failed=number)).verdict for number in range(1, 4)]
    assert verdicts[-1] is Verdict.TAKEN_BACK
    judgement = judged(CANARY, seen(1000), seen(failed=10))
    assert "failed 10 of its 10 requests" in judgement.reasons[0]


def test_it_may_fail_as_often_as_the_stable_version_does() -> None:
    assert judged(CANARY, seen(700, failed=300), seen(70, failed=30)).verdict is Verdict.GOES_ON
    assert judged(CANARY, seen(700, failed=300), seen(30, failed=70)).verdict is Verdict.TAKEN_BACK


def test_good_ones_are_not_taken_back_by_chance_however_often_they_are_looked_at() -> None:
    taken_back = 0
    for number in range(200):
        draw, stable, own = random.Random(number), Seen(), Seen()
        for _ in range(100):
            for found, requests in ((stable, 19), (own, 1)):
                for _ in range(requests):
                    found.saw(draw.random() < 0.02, draw.gammavariate(4, 0.002))
                found.saw_compared(requests, sum(draw.random() < 0.2 for _ in range(requests)))
            if judged(CANARY, stable, own).verdict is Verdict.TAKEN_BACK:
                taken_back += 1
                break
    assert taken_back <= 4, "of 200 good canaries, each looked at 100 times"


def test_a_slower_one_is_taken_back_once_enough_was_seen_of_both() -> None:
    assert judged(CANARY, seen(1000), seen(99, took=0.05)).verdict is Verdict.GOES_ON
    judgement = judged(CANARY, seen(1000), seen(100, took=0.05))
    assert judgement.verdict is Verdict.TAKEN_BACK
    assert judgement.reasons == ("its p95 is 50.0 ms, the stable version's 10.0 ms; 2 times that is allowed",)


def test_only_the_latest_answers_say_how_fast_it_is() -> None:
    own = seen(1000, took=0.05)
    for _ in range(600):
        own.saw(False, 0.01)
    assert judged(CANARY, seen(1000), own).verdict is Verdict.GOES_ON


def test_one_that_answers_something_else_is_taken_back() -> None:
    own = seen(10)
    own.saw_compared(100, 45)
    assert judged(CANARY, seen(10), own).verdict is Verdict.GOES_ON
    own.saw_compared(100, 95)
    judgement = judged(CANARY, seen(10), own)
    assert judgement.verdict is Verdict.TAKEN_BACK
    assert "on 140 of 200 rows" in judgement.reasons[0]


def test_every_reason_is_told() -> None:
    own = seen(100, failed=100, took=1.0)
    own.saw_compared(100, 100)
    assert len(judged(CANARY, seen(1000), own).reasons) == 3


def test_promoted_by_itself_only_where_that_was_asked_for_and_nothing_speaks_against_it() -> None:
    asked = Canary(2, 5.0, Limits(), promote_after=100)
    assert judged(CANARY, seen(1000), seen(100)).verdict is Verdict.GOES_ON
    assert judged(asked, seen(1000), seen(99)).verdict is Verdict.GOES_ON
    assert judged(asked, seen(1000), seen(100)).verdict is Verdict.PROMOTED
    assert judged(asked, seen(1000), seen(100, failed=50)).verdict is Verdict.TAKEN_BACK


@pytest.mark.parametrize(("least", "of"), [(0, 0), (0, 10), (1, 1), (3, 10), (10, 10), (60, 100), (40, 100)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 1.0])
def test_the_chance_is_the_binomial_tail(least: int, of: int, share: float) -> None:
    terms = (math.comb(of, seen) * share**seen * (1 - share) ** (of - seen) for seen in range(least, of + 1))
    assert chance(least, of, share) == pytest.approx(sum(terms), abs=1e-9)


def test_the_chance_of_very_many_is_found_at_once() -> None:
    assert chance(20_000, 1_000_000, 0.02) == pytest.approx(0.5, abs=0.01)
    assert chance(30_000, 1_000_000, 0.02) == 0.0
