"""The recipe as a whole, and the part of it that a tuning job may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from training.recipe.bases import AnyBase
from training.recipe.data import AugmentChoice, DatasetChoice, InputChoice, LimitsChoice, SplitChoice, check_sides
from training.recipe.heads import FinetuneChoice, HeadChoice, ProbeChoice
from training.recipe.judging import Baseline, CalibrateChoice, EvaluateChoice, GateChoice, OodChoice, PublishChoice
from training.recipe.strict import Strict
from training.seeds import LARGEST_SEED

API_VERSION = "transfer/v1"
MODEL_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


class Overrides(Strict):
    """What a tuning job may say: base and data come with the job."""

    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    input: InputChoice = InputChoice()
    split: SplitChoice = SplitChoice()
    head: HeadChoice = HeadChoice()
    probe: ProbeChoice = ProbeChoice()
    finetune: FinetuneChoice = FinetuneChoice()
    augment: AugmentChoice = AugmentChoice()
    baselines: list[Baseline] = Field(default=["majority", "linear_raw", "current"])
    """Of a tuning job those that cost next to nothing; a recipe asks for all of them."""
    evaluate: EvaluateChoice = EvaluateChoice()
    calibrate: CalibrateChoice = CalibrateChoice()
    ood: OodChoice = OodChoice()
    gate: GateChoice = GateChoice()
    publish: PublishChoice = PublishChoice()
    limits: LimitsChoice = LimitsChoice()


class Recipe(Overrides):
    """One training run, whole."""

    apiVersion: Literal["transfer/v1"]  # noqa: N815 - the key in the file
    name: str = Field(pattern=MODEL_NAME)
    base: AnyBase
    baselines: list[Baseline] = Field(default=["majority", "linear_raw", "random_features", "scratch", "current"])
    dataset: DatasetChoice | None = None

    @model_validator(mode="after")
    def _split_has_its_column(self) -> Recipe:
        check_sides(self.dataset, self.split)
        return self
