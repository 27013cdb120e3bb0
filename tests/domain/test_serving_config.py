"""What ought to be served: which configurations there cannot be, and the pure rules of policies and labels."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.domain.errors import InvalidInput, PreconditionFailed
from service.domain.serving_config import (
    All,
    Latest,
    ModelConfig,
    ServingConfig,
    Specific,
    VersionPolicy,
    applied_labels,
    aspired,
    refuse_unavailable_labels,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig("", "/m"), "without a name"),
        (
            lambda: ModelConfig("m", "models/m"),
            r"Expected model m to have an absolute path or URI; got base_path\(\)=models/m",
        ),
        (lambda: ModelConfig("m", ""), "Expected model m to have an absolute path"),
        (lambda: ModelConfig("m", "gs://bucket/m"), "only local directories are served"),
        (lambda: ModelConfig("m", "/m", platform="caffe"), "Model m requests unsupported platform caffe"),
        (
            lambda: ServingConfig((ModelConfig("m", "/a"), ModelConfig("m", "/b"))),
            "Illegal to list model m multiple times in config list",
        ),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_in_tf_servings_words(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


def test_several_models_may_lie_in_one_place() -> None:
    config = ServingConfig((ModelConfig("a", "/m"), ModelConfig("b", "/m/", Specific(frozenset({1})))))
    assert config.names == {"a", "b"}
    assert config.models[0].directory == config.models[1].directory


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (Latest(), {9}),
        (Latest(0), {9}),
        (Latest(2), {9, 5}),
        (Latest(10), {9, 5, 1}),
        (All(), {9, 5, 1}),
        (Specific(frozenset({1, 5})), {1, 5}),
        (Specific(frozenset({1, 7})), {1}),
        (Specific(frozenset()), set()),
    ],
)
def test_a_policy_picks_from_what_is_there(policy: VersionPolicy, wanted: set[int]) -> None:
    assert aspired(policy, [1, 9, 5], [], []) == wanted
    assert aspired(policy, [], [], []) == set()


@pytest.mark.parametrize(
    ("sentence", "policy", "live", "failed", "wanted"),
    [
        ("the newest failed, and nothing answers: the one before stands in", Latest(), [], [9], {9, 5}),
        ("that failed too: the next", Latest(), [], [9, 5], {9, 5, 1}),
        ("all failed: all are tried again", Latest(), [], [9, 5, 1], {9, 5, 1}),
        ("what failed and is there no longer is not", Latest(), [], [9, 5, 2], {9, 5, 1}),
        ("who answers needs nobody to stand in", Latest(), [5], [9], {9}),
        ("one of the newest is not tried yet", Latest(2), [], [9], {9, 5}),
        ("both of the newest failed", Latest(2), [], [9, 5], {9, 5, 1}),
        ("who asks for versions by number gets no others", Specific(frozenset({9})), [], [9], {9}),
        ("all were wanted anyway", All(), [], [9], {9, 5, 1}),
    ],
)
def test_who_stands_in(
    sentence: str, policy: VersionPolicy, live: list[int], failed: list[int], wanted: set[int]
) -> None:
    """Each case is its own sentence."""
    assert aspired(policy, [1, 5, 9], live, failed) == wanted, sentence


def test_a_label_may_be_given_to_what_answers_or_is_about_to() -> None:
    model = ModelConfig("m", "/m", Latest(), {"stable": 1, "canary": 2})
    refuse_unavailable_labels(model, found=[1, 2], live=[1])
    refuse_unavailable_labels(ModelConfig("m", "/m"), found=[], live=[])
    with pytest.raises(
        PreconditionFailed,
        match="Request to assign label to version 1 of model m, which is not currently available for inference",
    ):
        refuse_unavailable_labels(model, found=[1, 2], live=[2])


def test_a_label_stays_where_it_was_until_its_new_version_answers() -> None:
    assert applied_labels({"stable": 2}, {"stable": 1}, live=[1]) == {"stable": 1}
    assert applied_labels({"stable": 2}, {"stable": 1}, live=[1, 2]) == {"stable": 2}
    assert applied_labels({"stable": 2}, {"stable": 1}, live=[3]) == {}, "what it was is gone"
    assert applied_labels({"stable": 2}, {}, live=[]) == {}
    assert applied_labels({}, {"stable": 1}, live=[1]) == {}, "a label that nobody wishes for is none"
