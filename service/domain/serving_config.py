"""What ought to be served, as values: models, where their versions lie, which of those are wanted, and their labels.

The rules are pure: a policy and the versions found say which versions are aspired, a label's wish and what answers say
where it points. The messages are TF Serving's, because its clients and operators know them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from service.domain.errors import InvalidInput, PreconditionFailed
from service.domain.versions import newest

TENSORFLOW = "tensorflow"


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest ``count`` versions; TF Serving's default, where none means one."""

    count: int = 1

    def wanted(self, found: Collection[int]) -> frozenset[int]:
        """Which of the versions found ought to be live."""
        return newest(found, self.count)


@dataclass(frozen=True, slots=True)
class All:
    """Every version there is."""

    def wanted(self, found: Collection[int]) -> frozenset[int]:
        """Which of the versions found ought to be live."""
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Specific:
    """These versions, as far as they are there."""

    versions: frozenset[int]

    def wanted(self, found: Collection[int]) -> frozenset[int]:
        """Which of the versions found ought to be live."""
        return self.versions & frozenset(found)


@dataclass(frozen=True, slots=True)
class Directed:
    """What another policy wants, and the versions that a direction names."""

    otherwise: Latest | All | Specific
    versions: frozenset[int]

    def wanted(self, found: Collection[int]) -> frozenset[int]:
        """Which of the versions found ought to be live."""
        return self.otherwise.wanted(found) | (self.versions & frozenset(found))


VersionPolicy = Latest | All | Specific | Directed


def aspired(
    policy: VersionPolicy, found: Collection[int], live: Collection[int], failed: Collection[int]
) -> frozenset[int]:
    """The versions that ought to be live.

    Where the newest are wanted, all of them failed and nothing of the model answers, the next older version there is
    stands in, and should it fail the next: something that worked before is better than nothing. All of them go on being
    tried until one answers. That one is wanted no longer then, and goes when one of the newest answers.
    """
    wanted = policy.wanted(found)
    if isinstance(policy, Latest | Directed) and wanted and not live and wanted <= frozenset(failed):
        tried = frozenset(failed) & frozenset(found)
        return wanted | tried | newest(number for number in found if number not in tried)
    return wanted


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model that was configured by name.

    Raises:
        InvalidInput: no name, a base path that is not absolute, a platform that is not TensorFlow.
    """

    name: str
    base_path: str
    policy: VersionPolicy = Latest()
    labels: Mapping[str, int] = field(default_factory=dict)
    """Names for versions of this model, such as ``stable``."""
    platform: str = TENSORFLOW

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInput(f"Illegal to list a model without a name; its base_path()={self.base_path}")
        if "://" in self.base_path:
            raise InvalidInput(f"Model {self.name} has base_path()={self.base_path}; only local directories are served")
        if not PurePosixPath(self.base_path).is_absolute():
            raise InvalidInput(
                f"Expected model {self.name} to have an absolute path or URI; got base_path()={self.base_path}"
            )
        if self.platform != TENSORFLOW:
            raise InvalidInput(f"Model {self.name} requests unsupported platform {self.platform}")

    @property
    def directory(self) -> PurePosixPath:
        """The base path, without what says nothing."""
        return PurePosixPath(self.base_path)


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """Every model that is configured by name. It is always replaced whole.

    Raises:
        InvalidInput: a name is listed twice.
    """

    models: tuple[ModelConfig, ...] = ()

    def __post_init__(self) -> None:
        for name, count in Counter(model.name for model in self.models).items():
            if count > 1:
                raise InvalidInput(f"Illegal to list model {name} multiple times in config list")

    @property
    def names(self) -> frozenset[str]:
        """The models configured."""
        return frozenset(model.name for model in self.models)


def refuse_unavailable_labels(model: ModelConfig, found: Collection[int], live: Collection[int]) -> None:
    """A label may be given to a version that answers now or that the policy makes aspired; to no other.

    Raises:
        PreconditionFailed
    """
    possible = frozenset(live) | model.policy.wanted(found)
    for number in model.labels.values():
        if number not in possible:
            raise PreconditionFailed(
                f"Request to assign label to version {number} of model {model.name}, which is not currently available "
                "for inference"
            )


def applied_labels(wished: Mapping[str, int], before: Mapping[str, int], live: Collection[int]) -> dict[str, int]:
    """Where each label points: where it is wished to once that answers, until then where it did if that still does."""
    applied = {}
    for label, number in wished.items():
        points_at = number if number in live else before.get(label)
        if points_at in live and points_at is not None:
            applied[label] = points_at
    return applied
