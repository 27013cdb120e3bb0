"""The arms of an experiment: a network and where its weights come from, a probe, or a classical model on raw input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.recipe import Unfreeze
from training.recipe.strict import Name, Rate, Share, Strict, Width

LOOKS = 20
"""Points of a learning curve whose stage is said in steps."""


class Stage(Strict):
    """A stretch of training with one set of trained layers, one optimizer and one rate."""

    train: Literal["all", "head"] | Unfreeze = "all"
    """``head``: what is new on top; an ``unfreeze``: that and some layers of the body."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Rate = 1e-2
    momentum: Share = 0.0
    """Of ``sgd``."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Of ``adamw``."""
    epochs: int | None = Field(default=None, ge=1, le=100_000)
    steps: int | None = Field(default=None, ge=1, le=10_000_000)
    batch: int = Field(default=32, ge=1, le=4_096)

    @model_validator(mode="after")
    def _one_length(self) -> Stage:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("say epochs or steps")
        return self


class NetworkArm(Strict):
    """A network of the source's shape with a new output, trained on the target."""

    kind: Literal["network"]
    name: Name
    text: str = ""
    weights: Literal["scratch", "source", "random"]
    """Of the body: new and trained, the source's, or new and left so by the stages that freeze it."""
    reinit: list[Name] = Field(default=[])
    """Layers of the body that start anew although the others come from the source."""
    head: Literal["fresh", "source", "probe"] = "fresh"
    """The output layer: new, the source's own (as many classes are needed), or solved on the frozen features first."""
    hidden: list[Width] = Field(default=[], max_length=4)
    """New layers between the body and the output."""
    dropout: Share = 0.0
    """After the new layers."""
    data: Literal["target", "both"] = "target"
    """``both``: the source's training items too; the classes must be the same."""
    stages: list[Stage] = Field(default=[], max_length=8)

    @model_validator(mode="after")
    def _parts_agree(self) -> NetworkArm:
        if self.reinit and self.weights != "source":
            raise ValueError(f"arm {self.name!r}: reinit is for weights that come from the source")
        if self.head != "fresh" and (self.hidden or self.weights == "scratch"):
            raise ValueError(f"arm {self.name!r}: head {self.head} is for a reused body without new layers")
        return self


class ProbeArm(Strict):
    """A linear head, solved exactly, on features of a frozen body."""

    kind: Literal["probe"]
    name: Name
    text: str = ""
    weights: Literal["source", "random"] = "source"
    cut: Literal["auto", "penultimate"] | Name = "auto"
    """``auto``: the best of the body's cuts by cross-validation on the training items."""
    raw: bool = False
    """The input itself stands beside the features."""


class ClassicalArm(Strict):
    """A classical model on the input itself: what every network has to beat."""

    kind: Literal["classical"]
    name: Name
    text: str = ""
    model: Literal["majority", "logistic", "ridge", "lda", "qda"]


AnyArm = Annotated[NetworkArm | ProbeArm | ClassicalArm, Field(discriminator="kind")]
