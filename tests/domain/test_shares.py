"""Shares of something bounded: who fills it keeps nobody out, and it never holds more than twice the bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.domain.shares import Shares


def test_one_holder_may_fill_it_and_no_more() -> None:
    shares = Shares(10)
    shares.take("a", 7)
    assert shares.has_room("a", 3)
    assert not shares.has_room("a", 4)


def test_who_holds_less_than_an_equal_share_is_let_in_though_it_is_full() -> None:
    shares = Shares(10)
    shares.take("flood", 10)
    assert not shares.has_room("flood", 1)
    assert shares.has_room("quiet", 5)
    assert not shares.has_room("quiet", 6)
    shares.take("quiet", 5)
    assert not shares.has_room("quiet", 1)
    assert shares.has_room("third", 3)


def test_anything_is_let_in_where_nothing_is() -> None:
    assert Shares(10).has_room("a", 1000)


def test_who_gives_everything_back_is_forgotten() -> None:
    shares = Shares(10)
    for amount in (3, 0, 4):
        shares.take("a", amount)
    for amount in (0, 4, 3):
        shares.give_back("a", amount)
    assert (shares.held, shares.holders, shares["a"]) == (0, 0, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 30), st.booleans()), max_size=200))
def test_it_holds_what_it_was_given_and_at_most_twice_the_bound(moves: list[tuple[str, int, bool]]) -> None:
    shares, held = Shares(100), list[tuple[str, int]]()
    for holder, amount, takes in moves:
        if not takes and held:
            shares.give_back(*held.pop(0))
        elif shares.has_room(holder, amount):
            shares.take(holder, amount)
            held.append((holder, amount))
        assert shares.held == sum(amount for _, amount in held) <= 200
