"""What an engine's choice says of itself."""

from __future__ import annotations

import math

import pytest

from service.domain.engines import PRECISIONS, TOLERANCE, EngineChoice


def test_only_f32_is_held_to_the_tolerance() -> None:
    allowed = {one: EngineChoice("openvino", "it is so", one).tolerance for one in PRECISIONS}
    assert allowed.pop("f32") == TOLERANCE
    assert all(one > 1e6 and math.isfinite(one) for one in allowed.values()), "what is no number is still too far off"


@pytest.mark.parametrize(
    ("difference", "agreement", "rough"),
    [(None, None, False), (0.05, 1.0, False), (0.2, 1.0, True), (0.05, 0.9, True), (0.05, None, False)],
)
def test_a_precision_that_users_may_notice_is_rough(
    difference: float | None, agreement: float | None, rough: bool
) -> None:
    assert EngineChoice("openvino", "as was asked for", "bf16", difference, agreement).rough is rough


def test_a_choice_is_told_in_a_line() -> None:
    assert str(EngineChoice("tensorflow", "input 'x' is DT_STRING")) == "tensorflow f32: input 'x' is DT_STRING"
    asked = EngineChoice("openvino", "as was asked for", "bf16", 0.8, 0.61)
    assert str(asked) == (
        "openvino bf16, 8.0e-01 of the spread from TensorFlow's answers, top-1 the same in 61%: as was asked for"
    )
