"""From a directory to a version that can answer, and everything that must stop it on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_fakes import (
    FakeEngine,
    FakeModel,
    FakeRepository,
    RecordingObserver,
    base_manifest,
    full_manifest,
    head_manifest,
    head_model,
    head_of,
    scaling_model,
    signature,
    spec,
)

from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.loading import Loader
from service.application.online import Online
from service.application.ports import GoldenPair, Listing, Request
from service.domain.artifact import BaseRef, Manifest, Route
from service.domain.batches import BatchLimits
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.heads import AnswerForm, Head
from service.domain.learning import LearningTask
from service.domain.tensors import Signature

LABELS = ("five", "six", "seven")
X = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
HEAD = head_of(LABELS)
GOLDEN = GoldenPair("serving_default", {"x": X}, {"y": X * 2 + 1})


class FakeWarmUp:
    """Requests by the directory they lie in; an error in their place is raised where it stands."""

    def __init__(self) -> None:
        self.kept: dict[Path, list[Request | ModelFailed]] = {}

    def requests(self, directory: Path, signatures: Mapping[str, Signature]) -> Iterator[Request]:
        for one in self.kept.get(directory, ()):
            if isinstance(one, ModelFailed):
                raise one
            yield one


class Yard:
    """A loader over a fake repository and engine."""

    def __init__(self, repository: FakeRepository | None = None, rounds: int = 1) -> None:
        self.repository, self.engine, self.lanes = repository or FakeRepository(), FakeEngine(), Lanes(1)
        self.observer, limits = RecordingObserver(), BatchLimits(max_rows=8)
        self.graphs = SharedGraphs(self.engine, self.lanes, limits, self.observer)
        self.warm_up = FakeWarmUp()
        self.loader = Loader(self.repository, self.engine, self.graphs, self.observer, self.warm_up, rounds=rounds)

    def put(self, name: str, manifest: Manifest | None, content: FakeModel | None = None, **shelved: Any) -> Listing:
        listing = self.repository.put(name, 1, manifest, **shelved)
        if content is not None:
            self.engine.models[listing.directory] = content
        return listing

    def put_base(self, content: FakeModel | None = None, **shelved: Any) -> Listing:
        return self.put("base", base_manifest("base-1"), content or scaling_model(), **shelved)

    def put_head(self, name: str = "head", head: Head = HEAD, **changes: Any) -> Listing:
        manifest = replace(head_manifest(name, "base-1", LABELS), **changes)
        return self.put(name, manifest, head_model(scaling_model(), head), head=head)

    def prepare(self, listing: Listing, *bases: Listing) -> Online:
        known = {base.manifest.digest: base for base in bases if base.manifest}
        return self.loader.prepare(listing, known)

    def refusal(self, listing: Listing, *bases: Listing) -> str:
        """Why it is refused. Nothing may stay in memory then."""
        before = len(self.engine.open_graphs)
        with pytest.raises(ModelFailed) as caught:
            self.prepare(listing, *bases)
        assert len(self.engine.open_graphs) == before, "a refused version left a graph behind"
        return str(caught.value)

    async def ask(self, online: Online, name: str = "serving_default") -> dict[str, Any]:
        return {alias: array.tolist() for alias, array in (await online.endpoint(name).call({"x": X})).items()}


@pytest.fixture
def yard() -> Iterator[Yard]:
    made = Yard()
    yield made
    assert made.engine.misuses == []
    made.lanes.close()


async def test_a_plain_model_is_served_as_it_is(yard: Yard) -> None:
    online = yard.prepare(yard.put("plain", None, scaling_model()))
    assert await yard.ask(online) == {"y": (X * 2 + 1).tolist()}
    assert online.endpoints.keys() == {"serving_default", "features"}


def test_a_plain_model_that_changed_is_another_graph_and_a_published_one_is_named_by_its_digest(yard: Yard) -> None:
    first = yard.prepare(yard.put("plain", None, scaling_model()))
    second = yard.prepare(yard.put("plain", None, scaling_model()))
    assert first.shared is not second.shared
    one, two = (
        yard.put("one", full_manifest("d"), scaling_model()),
        yard.put("two", full_manifest("d"), scaling_model()),
    )
    assert yard.prepare(one).shared is yard.prepare(two).shared


async def test_a_head_answers_from_its_bases_graph(yard: Yard) -> None:
    base = yard.put_base()
    online = yard.prepare(yard.put_head(), base)
    expected = HEAD.answer(X * 2 + 1, AnswerForm.PREDICT)
    assert await yard.ask(online) == {alias: array.tolist() for alias, array in expected.items()}
    assert await yard.ask(online, "features") == {"embedding": (X * 2 + 1).tolist()}
    assert [directory for directory, _ in yard.engine.loaded] == [base.directory]
    assert online.shared.key == "base-1"


def test_two_heads_and_their_base_are_one_graph_freed_with_the_last_of_them(yard: Yard) -> None:
    base = yard.put_base()
    three = [yard.prepare(one, base) for one in (base, yard.put_head("a"), yard.put_head("b", head_of(LABELS, seed=9)))]
    assert len({id(online.shared) for online in three}) == 1
    assert len(yard.engine.loaded) == 1
    for online in three:
        assert yard.engine.open_graphs
        yard.loader.release(online)
    assert yard.engine.open_graphs == []


def test_a_head_finds_its_base_in_memory_when_its_directory_is_gone(yard: Yard) -> None:
    base = yard.prepare(yard.put_base())
    yard.repository.remove("base", 1)
    assert yard.prepare(yard.put_head()).shared is base.shared


def test_heads_without_their_base_share_one_copy_of_it(yard: Yard) -> None:
    one, two = yard.prepare(yard.put_head("a")), yard.prepare(yard.put_head("b"))
    assert one.shared is two.shared
    assert len(yard.engine.loaded) == 1
    assert one.shared.key == "features-of:base-1"


def test_damage_in_a_heads_own_copy_of_its_base_is_noticed_when_the_copy_is_needed_and_not_before(yard: Yard) -> None:
    """A head on a base in memory reads its own numbers and nothing else of its directory."""
    base = yard.prepare(yard.put_base())
    head = yard.put("head", head_manifest("h", "base-1", LABELS), head=HEAD, damage="variables differ")
    yard.engine.models[head.directory] = head_model(scaling_model(), HEAD)
    online = yard.prepare(head)
    assert online.shared is base.shared
    for one in (base, online):
        yard.loader.release(one)
    assert yard.refusal(head) == "variables differ"


def test_whether_a_version_is_a_head_on_a_graph_in_memory(yard: Yard) -> None:
    base, head, copy = yard.put_base(), yard.put_head(), yard.put_head("other", base=BaseRef("base", 9, "base-9"))
    assert not any(map(yard.loader.is_graft, (base, head, copy)))
    yard.prepare(base)
    yard.prepare(copy)
    assert list(map(yard.loader.is_graft, (base, head, copy))) == [False, True, True]


async def test_a_damaged_base_does_not_take_its_heads_along(yard: Yard) -> None:
    base = yard.put_base(damage="variables are not what was published")
    head = yard.put_head()
    online = yard.prepare(head, base)
    assert [directory for directory, _ in yard.engine.loaded] == [head.directory]
    assert (await yard.ask(online)).keys() == {"probabilities", "classes", "scores"}


def test_what_cannot_be_read_as_a_version_is_refused_with_the_reason(yard: Yard) -> None:
    assert yard.refusal(yard.put("m", None, problem="half copied")) == "half copied"


def test_damage_is_refused_before_anything_is_loaded(yard: Yard) -> None:
    assert yard.refusal(yard.put("m", full_manifest("d"), scaling_model(), damage="x differs")) == "x differs"
    assert yard.engine.loaded == []


def test_a_golden_pair_that_is_reproduced_lets_a_version_through_and_warms_it(yard: Yard) -> None:
    yard.prepare(yard.put("m", full_manifest("d"), scaling_model(), golden=GOLDEN))
    runs = [rows for name, rows in yard.engine.loaded[0][1].runs if name == "serving_default"]
    assert runs[-5:] == [2, 1, 2, 4, 8], "the pair itself, then every batch size"


@pytest.mark.parametrize(
    ("golden", "reason"),
    [
        (replace(GOLDEN, outputs={"y": X * 2 + 1.1}), "not reproduced: output 'y' is off by"),
        (replace(GOLDEN, outputs={"y": X[:1] * 2 + 1}), "not reproduced"),
        (replace(GOLDEN, outputs={"z": X}), "expects output 'z', which there is not"),
        (replace(GOLDEN, outputs={"y": np.array([b"text"], dtype=object)}), "not reproduced"),
        (replace(GOLDEN, outputs={}), "empty"),
        (replace(GOLDEN, signature="other"), "for signature 'other', which there is not"),
        (replace(GOLDEN, inputs={"q": X}), "could not be run"),
        (replace(GOLDEN, inputs={"x": X.astype(np.float64)}), "could not be run"),
        (replace(GOLDEN, inputs={"x": np.float32(1)}), "could not be run"),
        (replace(GOLDEN, inputs={"x": X[:0]}, outputs={"y": X[:0]}), "empty"),
    ],
)
def test_a_golden_pair_that_is_not_reproduced_stops_a_version(yard: Yard, golden: GoldenPair, reason: str) -> None:
    assert reason in yard.refusal(yard.put("m", full_manifest("d"), scaling_model(), golden=golden))


def test_the_golden_pair_of_a_head_is_checked_through_its_base(yard: Yard) -> None:
    """What is held against the pair is what requests will get, not the head's own copy of the graph."""
    other_base = yard.put_base(scaling_model(3.0))
    right = HEAD.answer(X * 2 + 1, AnswerForm.PREDICT)["probabilities"]
    golden = GoldenPair("serving_default", {"x": X}, {"probabilities": right})
    head = yard.put(
        "head", head_manifest("h", "base-1", LABELS), head_model(scaling_model(), HEAD), head=HEAD, golden=golden
    )
    assert "not reproduced" in yard.refusal(head, other_base)
    yard.prepare(head)


def test_a_load_that_breaks_in_an_unexpected_way_frees_the_graph_too() -> None:
    class Breaking(FakeRepository):
        def golden(self, listing: Listing) -> GoldenPair | None:
            raise ZeroDivisionError

    yard = Yard(Breaking())
    with pytest.raises(ZeroDivisionError):
        yard.prepare(yard.put("m", None, scaling_model()))
    assert len(yard.engine.loaded) == 1
    assert yard.engine.open_graphs == []


def test_a_head_without_weights_is_refused(yard: Yard) -> None:
    base, head = yard.put_base(), yard.put_head()
    yard.repository.versions[head.id].head = None
    assert "without weights" in yard.refusal(head, base)


def test_a_cut_that_the_base_does_not_give_stops_the_head_and_not_its_requests(yard: Yard) -> None:
    assert "cut 'block_7'" in yard.refusal(yard.put_head(cut="block_7"), yard.put_base())


def test_a_head_for_more_features_than_the_base_gives_is_refused(yard: Yard) -> None:
    wide = head_of(LABELS, width=4)
    assert "takes 4 features, and the base's 'embedding' is [?,3]" in yard.refusal(
        yard.put_head(head=wide), yard.put_base()
    )


async def test_heads_of_every_task_share_the_bases_graph(yard: Yard) -> None:
    base = yard.put_base()
    plain = head_of(LABELS)
    tasks = {
        LearningTask.MULTILABEL: {"thresholds": (0.4,) * len(LABELS)},
        LearningTask.REGRESSION: {"half_widths": (1.0,) * len(LABELS)},
    }
    for task, deciding in tasks.items():
        head = replace(plain, task=task, **deciding)
        online = yard.prepare(yard.put_head(str(task), head=head, task=task), base)
        answer = await yard.ask(online)
        expected = head.answer(X * 2 + 1, AnswerForm.PREDICT)
        assert answer == {alias: array.tolist() for alias, array in expected.items()}
        assert online.shared.key == "base-1"


async def test_a_head_over_two_cuts_side_by_side(yard: Yard) -> None:
    wide = head_of(LABELS, width=6)
    online = yard.prepare(yard.put_head(head=wide, cut="embedding+embedding"), yard.put_base())
    expected = wide.answer(np.concatenate([X * 2 + 1] * 2, axis=1), AnswerForm.PREDICT)
    assert (await yard.ask(online))["probabilities"] == expected["probabilities"].tolist()
    narrow = yard.put_head("narrow", head=head_of(LABELS, width=5), cut="embedding+embedding")
    assert "takes 5 features" in yard.refusal(narrow, yard.put_base())


def test_a_route_to_an_answer_that_the_task_has_not_is_refused(yard: Yard) -> None:
    head = yard.put_head(routes={"serving_default": Route("features", AnswerForm.REGRESS)})
    assert "is to regress, which a head for multiclass cannot" in yard.refusal(head, yard.put_base())


def test_a_route_over_a_signature_that_the_base_does_not_have_is_refused(yard: Yard) -> None:
    head = yard.put_head(routes={"serving_default": Route("features_from_bytes", AnswerForm.PREDICT)})
    assert "'features_from_bytes', which the base does not offer" in yard.refusal(head, yard.put_base())


@pytest.mark.parametrize(
    "taken", [spec("image", (None, 3)), spec("x", (None, 4)), spec("x", (None, 3), "DT_DOUBLE"), spec("x", None)]
)
def test_a_head_that_takes_other_inputs_than_its_base_is_refused(yard: Yard, taken: Any) -> None:
    base, head = yard.put_base(), yard.put_head()
    own = yard.engine.models[head.directory]
    own.signatures = {"serving_default": signature([taken], list(own.signatures["serving_default"].outputs.values()))}
    assert "do not take the same inputs" in yard.refusal(head, base)


def test_a_signature_without_a_route_never_gets_the_bases_own_answer(yard: Yard) -> None:
    """Its outputs have the same names, and would be the probabilities of other classes."""
    head = yard.put_head(routes={"classify": Route("features", AnswerForm.CLASSIFY)})
    assert "has no route" in yard.refusal(head, yard.put_base())


def test_a_failed_head_leaves_its_base_to_the_others(yard: Yard) -> None:
    base = yard.put_base()
    good = yard.prepare(yard.put_head("good"), base)
    yard.refusal(yard.put_head("bad", cut="nowhere"), base)
    assert good.shared.users == 1


async def test_a_call_is_held_against_the_signature_before_it_reaches_the_graph(yard: Yard) -> None:
    online = yard.prepare(yard.put("plain", None, scaling_model()))
    runs = len(yard.engine.loaded[0][1].runs)
    with pytest.raises(InvalidInput):
        await online.endpoint("serving_default").call({"x": X.astype(np.float64)})
    assert len(yard.engine.loaded[0][1].runs) == runs


async def test_no_rows_in_give_no_rows_out_without_a_run(yard: Yard) -> None:
    online = yard.prepare(yard.put_head(), yard.put_base())
    runs = len(yard.engine.loaded[0][1].runs)
    answer = await online.endpoint("serving_default").call({"x": X[:0]})
    assert {alias: array.shape for alias, array in answer.items()} == {
        "probabilities": (0, 3),
        "classes": (0, 3),
        "scores": (0, 3),
    }
    assert len(yard.engine.loaded[0][1].runs) == runs


async def test_an_empty_batch_with_an_output_that_numpy_has_no_type_for_is_the_graphs_to_answer(yard: Yard) -> None:
    x = spec("x", (None, 3))
    half = FakeModel({"serving_default": signature([x], [spec("y", (None, 3), "DT_QINT8")])}, {"serving_default": dict})
    online = yard.prepare(yard.put("brain", None, half))
    assert (await online.endpoint("serving_default").call({"x": X[:0]}))["x"].shape == (0, 3)


def test_a_versions_own_requests_are_run_before_it_answers(yard: Yard) -> None:
    listing = yard.put("plain", None, scaling_model())
    yard.warm_up.kept[listing.directory] = [
        Request("serving_default", {"x": np.ones((5, 3), np.float32)}),
        Request("features", {"x": np.ones((7, 3), np.float32)}),
    ]
    yard.prepare(listing)
    assert yard.engine.loaded[0][1].runs[-2:] == [("serving_default", 5), ("features", 7)]
    assert yard.observer.named("warmed_up") == [("warmed_up", listing.directory, 2, True)]


def test_they_are_run_as_often_as_asked_for_and_not_at_all_when_asked_not_to() -> None:
    runs = []
    for rounds in (0, 1, 3):
        yard = Yard(rounds=rounds)
        listing = yard.put("plain", None, scaling_model())
        yard.warm_up.kept[listing.directory] = [Request("serving_default", {"x": np.ones((5, 3), np.float32)})]
        yard.prepare(listing)
        runs.append(sum(run == ("serving_default", 5) for run in yard.engine.loaded[0][1].runs))
        yard.lanes.close()
    assert runs == [0, 1, 3]


def test_a_head_answers_them_the_way_it_answers_requests(yard: Yard) -> None:
    base, head = yard.put_base(), yard.put_head()
    yard.warm_up.kept[head.directory] = [Request("serving_default", {"x": np.ones((5, 3), np.float32)})]
    yard.prepare(head, base)
    assert yard.engine.loaded[0][1].runs[-1] == ("features", 5)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Request("nowhere", {}), "warm-up record 2 is for signature 'nowhere', which there is not"),
        (Request("serving_default", {"x": np.ones((5, 4), np.float32)}), "warm-up record 2 failed: input 'x' expects"),
        (Request("serving_default", {}), "warm-up record 2 failed: input size does not match"),
        (ModelFailed("record 2 is torn"), "record 2 is torn"),
    ],
)
def test_one_that_fails_fails_the_version_and_says_which(yard: Yard, bad: Request | ModelFailed, says: str) -> None:
    listing = yard.put("plain", None, scaling_model())
    yard.warm_up.kept[listing.directory] = [Request("serving_default", {"x": X}), bad]
    assert says in yard.refusal(listing)
    assert yard.observer.named("warmed_up")[0][3] is False


def test_a_version_without_any_is_as_before(yard: Yard) -> None:
    yard.prepare(yard.put("plain", None, scaling_model()))
    assert yard.observer.named("warmed_up") == []
