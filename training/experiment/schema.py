"""What an experiment is: a source task, a target task, arms, and how often everything is repeated; read strictly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from training.experiment.arms import AnyArm, NetworkArm, Stage
from training.recipe import ApplicationBase, CnnBase, MlpBase
from training.recipe.strict import Name, Strict
from training.seeds import LARGEST_SEED

EXPERIMENT_VERSION = "experiment/v1"
Items = Annotated[int, Field(ge=1, le=10_000_000)]
Network = Annotated[MlpBase | CnnBase, Field(discriminator="name")] | ApplicationBase


class Material(Strict):
    """Which data: built in (``builtin:digits:0-4``), made on the spot (``made:images:48:5``), or a file of numbers."""

    uri: str = Field(min_length=1)
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """sha256 of the file, where the data is a public archive."""
    labels: list[str] | None = Field(default=None, min_length=2)
    """Only items of these classes."""
    part: list[float] = Field(default=[0.0, 1.0], min_length=2, max_length=2)
    """From which share to which of the items in an order drawn once: two disjoint parts are two collections."""

    @model_validator(mode="after")
    def _part_is_a_range(self) -> Material:
        low, high = self.part
        if not 0 <= low < high <= 1:
            raise ValueError("part is two shares, the first the smaller, between 0 and 1")
        return self


class Division(Strict):
    """Which items are learned from, which are watched, and which are judged on."""

    order: Literal["drawn", "given"] = "drawn"
    """``given``: the first items are learned from, as they come; ``drawn``: by class, anew for every seed."""
    train: Items | None = None
    """None: all that the others leave."""
    per_class: list[Items] | None = Field(default=None, min_length=1)
    """Sizes to study: so many labelled items of each class, one study for each."""
    valid: int = Field(default=0, ge=0)
    """Items for the curves; with none the curves are drawn on the test, and the report says so."""
    test: Items | None = None
    """None: all that the others leave; then ``train`` or ``per_class`` is needed."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Division:
        if self.train is not None and self.per_class is not None:
            raise ValueError("say train or per_class, not both")
        if self.train is None and self.per_class is None and self.test is None:
            raise ValueError("say how many items are for training or how many for the test")
        if self.order == "given" and self.per_class is not None:
            raise ValueError("per_class draws items; order given takes them as they come")
        return self


class Source(Strict):
    """The task the source model learns, and how. Without data its weights are those it is built with."""

    network: Network
    data: Material | None = None
    divide: Division = Division(test=200)
    stages: list[Stage] = Field(default=[], max_length=8)

    @model_validator(mode="after")
    def _learns_from_data(self) -> Source:
        if (self.data is None) != (not self.stages):
            raise ValueError("a source that learns has data and stages; one that does not has neither")
        if getattr(
            self.network.params if not isinstance(self.network, ApplicationBase) else None, "standardise", False
        ):
            raise ValueError("the networks of an experiment see the numbers as they are: params.standardise is false")
        return self


class Target(Strict):
    """The task that is to be learned."""

    data: Material
    divide: Division


class Repeats(Strict):
    """How often. A repeat over seeds alone says nothing about the next source model."""

    sources: int = Field(default=5, ge=1, le=1_000)
    """Source models, each from its own initial weights and order of items."""
    seeds: int = Field(default=1, ge=1, le=1_000)
    """Repeats with each source model."""


class Comparison(Strict):
    """What the verdict is about, by the names of arms."""

    scratch: Name
    linear: Name | None = None
    ordering: list[Name] | None = Field(default=None, min_length=2)
    """From best to worst, as somebody reported it: it is counted for how many sources that is found."""


class Experiment(Strict):
    """All of one experiment."""

    apiVersion: Literal["experiment/v1"]  # noqa: N815 - the key in the file
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    question: str = Field(min_length=1)
    notes: list[str] = Field(default=[])
    """What a reader must know: a stand-in for data that is not there, for instance."""
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    source: Source
    target: Target
    class_splits: list[Annotated[list[str], Field(min_length=2)]] = Field(default=[])
    """Classes of the target, one study for each; the source learns all others. In place of ``data.labels``."""
    swap: bool = False
    """The other way round: the target's task first."""
    stages: list[Stage] = Field(default=[], max_length=8)
    """The budget that every network arm has unless it names its own."""
    arms: list[AnyArm] = Field(min_length=1, max_length=24)
    repeats: Repeats = Repeats()
    compare: Comparison
    quick: dict[str, JsonValue] = Field(default={})
    """Settings, as ``--set`` takes them, for a run that shows in seconds that all works; its figures mean nothing."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Experiment:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError("two arms have one name")
        said = [self.compare.scratch, *filter(None, [self.compare.linear]), *(self.compare.ordering or [])]
        unknown = [name for name in said if name not in names]
        if unknown:
            raise ValueError(f"compare: there is no arm {unknown[0]!r}; there are {', '.join(names)}")
        for arm in self.arms:
            if isinstance(arm, NetworkArm) and not (arm.stages or self.stages):
                raise ValueError(f"arm {arm.name!r} has no stages, and the experiment has none to lend it")
        if (self.swap or self.class_splits) and self.source.data is None:
            raise ValueError("swap and class_splits need a source that learns from data")
        return self
