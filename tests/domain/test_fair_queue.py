"""The fair queue: equal shares whatever is put in, order within a flow, nothing lost, nothing kept of who has gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import islice

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.domain.fair_queue import FairQueue

Item = tuple[str, int, float]
"""A flow, a number in it, and what it costs."""


def cost(item: Item) -> float:
    return item[2]


def everything(item: Item) -> bool:
    return True


def taken(queue: FairQueue[Item], most: int, fits: Callable[[Item], bool] = everything) -> list[Item]:
    with closing(queue.take(fits)) as turns:
        return list(islice(turns, most))


def filled(amounts: dict[str, int], each: float = 1.0) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue(cost)
    for flow, amount in amounts.items():
        for number in range(amount):
            queue.put(flow, (flow, number, each))
    return queue


def test_who_floods_gets_no_more_than_who_does_not() -> None:
    queue = filled({"flood": 1000, "one": 10, "other": 10})
    assert Counter(flow for flow, *_ in taken(queue, 30)) == {"flood": 10, "one": 10, "other": 10}
    assert len(taken(queue, 10_000)) == 990, "and nothing is lost"


def test_a_new_flow_waits_for_one_item_of_each_other_at_most() -> None:
    queue = filled({"flood": 1000, "other": 1000})
    taken(queue, 500)
    queue.put("new", ("new", 0, 1.0))
    assert "new" in [flow for flow, *_ in taken(queue, 3)]


def test_shares_are_of_the_cost_and_not_of_the_number() -> None:
    queue = filled({"small": 1000})
    for number in range(100):
        queue.put("large", ("large", number, 8.0))
    assert Counter(flow for flow, *_ in taken(queue, 180)) == {"small": 160, "large": 20}


def test_first_come_is_first_served_within_a_flow() -> None:
    assert [number for _, number, _ in taken(filled({"a": 50}), 50)] == list(range(50))


def test_what_is_charged_later_counts_as_if_it_had_been_known() -> None:
    queue = filled({"a": 10, "b": 10}, each=0.0)
    order = []
    while len(queue):
        (item,) = taken(queue, 1)
        order.append(item[0])
        queue.charge(item[0], {"a": 3.0, "b": 1.0}[item[0]])
    assert Counter(order[:12])["b"] == 9, "a's runs are three times as long as b's"


def test_what_was_charged_too_much_is_given_back() -> None:
    queue = filled({"a": 4, "b": 4})
    queue.charge("a", 10.0)
    queue.charge("a", -10.0)
    assert Counter(flow for flow, *_ in taken(queue, 4)) == {"a": 2, "b": 2}


def test_an_idle_flow_pays_its_debt_before_it_is_served_again_while_others_wait() -> None:
    queue = filled({"steady": 100})
    queue.put("bulky", ("bulky", 0, 20.0))
    assert "bulky" in [flow for flow, *_ in taken(queue, 3)]
    queue.put("bulky", ("bulky", 1, 20.0))
    assert "bulky" not in [flow for flow, *_ in taken(queue, 15)]
    assert "bulky" in [flow for flow, *_ in taken(queue, 10)]


def test_a_small_item_may_pass_a_few_that_do_not_fit_which_keep_their_place() -> None:
    queue: FairQueue[Item] = FairQueue(cost)
    for number, size in enumerate((5.0, 5.0, 1.0, 1.0)):
        queue.put("a", ("a", number, size))
    assert [number for _, number, _ in taken(queue, 2, lambda item: item[2] < 2)] == [2, 3]
    assert [number for _, number, _ in taken(queue, 2)] == [0, 1]


def test_how_far_is_looked_for_an_item_that_fits_is_bounded() -> None:
    looked = []

    def never(item: Item) -> bool:
        looked.append(item)
        return False

    assert taken(filled({str(flow): 1000 for flow in range(1000)}), 1, never) == []
    assert len(looked) < 2000


def test_a_flow_that_has_nothing_left_is_forgotten_once_it_owes_nothing() -> None:
    queue = filled({str(flow): 1 for flow in range(100)} | {"last": 300})
    taken(queue, 250)
    assert queue.flows == 1
    queue.clear()
    assert (len(queue), queue.flows) == (0, 0)


def test_what_nobody_wants_any_more_can_be_dropped() -> None:
    queue = filled({"a": 6, "b": 2})
    queue.drop(lambda item: item[1] % 2 == 0)
    assert len(queue) == 4
    assert Counter(flow for flow, *_ in taken(queue, 10)) == {"a": 3, "b": 1}


class AgainstAModel(RuleBasedStateMachine):
    """Any mix of puts, takes, charges and drops: nothing is lost, doubled or out of order, and of flows that waited all
    the time none is ahead of another by more than two of the largest items.
    """

    FLOWS = ("a", "b", "c")
    LARGEST = 4

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[Item] = FairQueue(cost)
        self.model: dict[str, list[Item]] = {flow: [] for flow in self.FLOWS}
        self.served = dict.fromkeys(self.FLOWS, 0.0)
        self.number = 0

    @rule(flow=st.sampled_from(FLOWS), size=st.integers(1, LARGEST), times=st.integers(1, 5))
    def put(self, flow: str, size: int, times: int) -> None:
        for _ in range(times):
            self.number += 1
            item = (flow, self.number, float(size))
            if not self.model[flow]:
                self.served = dict.fromkeys(self.FLOWS, 0.0)  # from now on it waits, too
            self.model[flow].append(item)
            self.queue.put(flow, item)

    @rule(most=st.integers(1, 8))
    def take(self, most: int) -> None:
        waiting = sum(map(len, self.model.values()))
        items = taken(self.queue, most)
        assert len(items) == min(most, waiting)
        for item in items:
            assert item == self.model[item[0]].pop(0)
            self.served[item[0]] += item[2]
            if not self.model[item[0]]:
                self.served = dict.fromkeys(self.FLOWS, 0.0)
        always = [served for flow, served in self.served.items() if self.model[flow]]
        assert not always or max(always) - min(always) <= 2 * self.LARGEST + self.owed()

    def owed(self) -> float:
        """What a flow may have had before the others began to wait."""
        return 2.0 * self.LARGEST

    @rule(fits=st.integers(1, LARGEST))
    def take_what_fits(self, fits: int) -> None:
        for item in taken(self.queue, 3, lambda item: item[2] <= fits):
            assert item[2] <= fits
            self.model[item[0]].remove(item)
            self.served = dict.fromkeys(self.FLOWS, 0.0)

    @rule(flow=st.sampled_from(FLOWS))
    def drop(self, flow: str) -> None:
        self.queue.drop(lambda item: item[0] == flow)
        self.model[flow] = []
        self.served = dict.fromkeys(self.FLOWS, 0.0)

    @invariant()
    def as_many_wait_as_should(self) -> None:
        assert len(self.queue) == sum(map(len, self.model.values()))
        assert self.queue.flows <= len(self.FLOWS)


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
