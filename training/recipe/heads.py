"""What is put on top of the base, how it is fitted, and how the base is fine-tuned with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.recipe.strict import Name, Rate, Share, Strict, Width

TaskName = Literal["binary", "multiclass", "multilabel", "regression"]


class ClassesChoice(Strict):
    """``new`` classes only, or those of the current version as well, which needs data to remember them by."""

    mode: Literal["new", "extend"] = "new"
    replay: str | None = Field(default=None, min_length=1)
    """Data of the old classes, as ``dataset.uri`` names data."""

    @model_validator(mode="after")
    def _extending_needs_replay(self) -> ClassesChoice:
        if (self.mode == "extend") != (self.replay is not None):
            raise ValueError("mode extend and replay go together: old classes are remembered by data")
        return self


class HeadChoice(Strict):
    """What is put on top. ``l2`` is the penalty on the weights (1/C), or chosen by cross-validation."""

    task: TaskName = "multiclass"
    classes: ClassesChoice = ClassesChoice()
    hidden: list[Width] = Field(default=[], max_length=8)
    """Layers between features and answer; none makes a linear head, which shares its base when served."""
    activation: Literal["relu", "gelu", "tanh"] = "relu"
    dropout: Share = 0.0
    l2: Literal["auto"] | Annotated[float, Field(gt=0, le=1e6)] = "auto"
    init: Literal["fresh", "from_current"] = "fresh"
    """Where fine-tuning and hidden layers start; a linear head is the one best solution, wherever it starts."""
    reinit: list[Name] = Field(default=[])
    """Layers of the base that start anew; only with fine-tuning."""
    class_weight: Literal["auto", "none", "balanced"] = "auto"
    """``auto``: balanced when the largest class has over three times the items of the smallest."""
    label_smoothing: float = Field(default=0.0, ge=0, le=0.3)
    threshold: Literal["auto"] | Annotated[float, Field(gt=0, lt=1)] = 0.5
    """For binary and multilabel; ``auto`` maximises F1 on items the head was not fitted on."""


class ProbeChoice(Strict):
    """How a head with hidden layers or dropout is fitted on features; a linear one is solved exactly."""

    max_steps: int = Field(default=500, ge=1, le=1_000_000)
    learning_rate: Rate = 1e-2
    batch: int = Field(default=256, ge=1, le=65_536)


class Unfreeze(Strict):
    """Which layers of the base are trained: exactly one way of saying it."""

    names: list[Name] | None = Field(default=None, min_length=1)
    last_n: int | None = Field(default=None, ge=1)
    first_n_frozen: int | None = Field(default=None, ge=0)
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Of the layers with weights, from the top."""

    @model_validator(mode="after")
    def _one_way(self) -> Unfreeze:
        said = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"say one of names, last_n, first_n_frozen, fraction; not {' and '.join(said) or 'none'}")
        return self


class FinetuneChoice(Strict):
    """Training the base's upper layers together with the head, after the head alone has been fitted."""

    enabled: Literal["never", "auto", "always"] = "auto"
    """``auto``: with 20 items a class or more, and kept only if it beats the probe by more than its error."""
    auto_seconds: float = Field(default=30, gt=0)
    """What ``auto`` may take, by the time the base takes in inference; as much for each of the baselines ``scratch``
    and ``random_features``. What would take longer is not begun, and the report says so."""
    mode: Literal["partial", "full"] = "partial"
    unfreeze: Unfreeze = Unfreeze(fraction=0.33)
    """Of ``partial``."""
    batch_norm: Literal["frozen", "gamma_beta", "train"] = "frozen"
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Literal["auto"] | Rate = "auto"
    """``auto`` tries 1e-5, 1e-4 and 1e-3 and counts them as configurations tried."""
    momentum: Share = 0.0
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    steps: int | None = Field(default=None, ge=1, le=1_000_000)
    epochs: float | None = Field(default=None, gt=0, le=10_000)
    """In place of ``steps``; 500 steps when neither is said."""
    warmup: int = Field(default=100, ge=0)
    """Steps in which the rate rises; at most a fifth of all."""
    batch: int = Field(default=32, ge=1, le=4_096)
    schedule: Literal["once", "gradual"] = "once"
    """``gradual`` unfreezes from the top, a group of layers at a time."""
    group_decay: float = Field(default=1.0, ge=1, le=10)
    """The rate of each group of layers below is smaller by this factor."""
    patience: int = Field(default=5, ge=1, le=1_000)
    """Looks at the validation items without a better one before it stops; the best state is restored."""

    @model_validator(mode="after")
    def _one_length(self) -> FinetuneChoice:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("say steps or epochs, not both")
        return self
