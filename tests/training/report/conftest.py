"""Shared by the report's tests."""

from __future__ import annotations

import pytest

from service.domain.artifact import BaseRef, InputKind, InputSpec, Manifest, ModelKind, Route
from service.domain.heads import AnswerForm


@pytest.fixture
def manifest_of_an_image_head() -> Manifest:
    """A head of three classes."""
    return Manifest(
        kind=ModelKind.HEAD,
        task="multiclass",
        labels=("class 0", "class 1", "class 2"),
        input=InputSpec(InputKind.IMAGE, (8, 8, 1)),
        digest="ab",
        files={},
        base=BaseRef("mobilenet", 3, "cd"),
        cut="flatten",
        routes={"predict": Route("features", AnswerForm.PREDICT)},
        provenance={"job_id": "j1"},
    )
