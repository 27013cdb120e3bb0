"""What can end a training run badly on purpose, each with the code that machines read and a text fit for people.

Anything else that is raised is a crash: running again may help, and the service may try.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from service.domain.dataset import MOST_FAULTS_SHOWN
from service.domain.faults import Fault


class TrainingFailed(Exception):
    """Running the same task again would end the same way."""

    code: ClassVar[str] = "training_failed"

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        self.details: Mapping[str, Any] = details or {}
        super().__init__(message)


class BadRecipe(TrainingFailed):
    """The recipe says something that is not understood or not possible."""

    code = "bad_recipe"


class BadTask(TrainingFailed):
    """The task file cannot be read, or what it points at is not there."""

    code = "bad_task"


class BadData(TrainingFailed):
    """The labelled data has faults; ``details['faults']`` lists them."""

    code = "bad_data"

    def __init__(self, faults: Sequence[Fault], count: int | None = None) -> None:
        total = len(faults) if count is None else count
        first = faults[0]
        more = f" (and {total - 1} more)" if total > 1 else ""
        shown = [asdict(fault) for fault in faults[:MOST_FAULTS_SHOWN]]
        super().__init__(
            f"the data cannot be used: {first.place}: {first.message}{more}", {"faults": shown, "fault_count": total}
        )


class BadBase(TrainingFailed):
    """The base model cannot be built on."""

    code = "bad_base"


class Diverged(TrainingFailed):
    """Training led to numbers that are not finite."""

    code = "diverged"


class BadArtifact(TrainingFailed):
    """What was exported does not do what it was made to do, and so is not published."""

    code = "bad_artifact"


class LimitReached(TrainingFailed):
    """The job took more than its recipe's limits allow."""

    code = "limit"


class OutOfMemory(TrainingFailed):
    """A step of training did not fit into the memory of the device."""

    code = "out_of_memory"
