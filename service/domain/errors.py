"""Everything that can go wrong, named for what happened and never for a protocol.

    ServiceError
    ├── InvalidInput            the request cannot be answered as written
    ├── NotSupported            it asks for something that this server does not do
    ├── UploadTooLarge          more bytes than this server accepts
    ├── NoRoom                  more bytes than there is room for now, here or on the disk
    ├── InvalidDataset          labelled data with faults, every one of them listed
    ├── UnknownLabel            no such name for a version
    ├── SignatureNotFound       the model has no such way to be called
    ├── ModelNotFound           no such model, or no such version of it, answers now
    ├── JobNotFound
    ├── DatasetNotFound
    ├── UploadNotFound
    ├── Conflict                the thing exists, but not in a state that allows this
    ├── PreconditionFailed      what is asked for rests on something that is not so now
    ├── LoadFailed              models that were asked for could not be made live
    ├── Overloaded              the queue is full; try again shortly
    ├── NotReady                not able to answer yet, or no longer
    ├── DeadlineExceeded        the caller's time ran out before the answer was there
    ├── QueueTimedOut           the same, while the request still waited for its turn
    └── ModelFailed             the model itself raised while running

Each door has one total table from these kinds to its own codes; a test proves that the tables are total.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from service.domain.faults import Fault


class ServiceError(Exception):
    """The one base of everything this service raises on purpose; its text is fit to show to the caller."""


class InvalidInput(ServiceError):
    """The request cannot be answered as written."""


class NotSupported(ServiceError):
    """The request asks for something that this server does not do."""


class UploadTooLarge(ServiceError):
    """The upload is larger than this server accepts."""


class NoRoom(ServiceError):
    """There is no room to keep what was sent, or is about to be."""


class InvalidDataset(ServiceError):
    """The labelled data cannot be tuned on; ``faults`` says what and where, ``fault_count`` counts the unlisted too."""

    def __init__(self, faults: Sequence[Fault], fault_count: int | None = None) -> None:
        self.faults = tuple(faults)
        self.fault_count = len(self.faults) if fault_count is None else fault_count
        first = self.faults[0].message if self.faults else "no fault given"
        more = f" (and {self.fault_count - 1} more)" if self.fault_count > 1 else ""
        super().__init__(f"the data cannot be used: {first}{more}")


class UnknownLabel(ServiceError):
    """No version carries this label."""


class SignatureNotFound(ServiceError):
    """The model has no signature of this name; each door has its own words for it."""

    def __init__(self, signature: str) -> None:
        self.signature = signature
        super().__init__(f'Serving signature name: "{signature}" not found in signature def')


class ModelNotFound(ServiceError):
    """No such model, or no such version of it, answers now."""


class JobNotFound(ServiceError):
    """No tuning job has this id."""


class DatasetNotFound(ServiceError):
    """No dataset has this id."""


class UploadNotFound(ServiceError):
    """No upload in parts has this id, or not any more."""


class Conflict(ServiceError):
    """The thing exists, but its present state does not allow what was asked."""


class PreconditionFailed(ServiceError):
    """What is asked for rests on something that is not so now; asking again helps once it is."""


class LoadFailed(ServiceError):
    """Models that were asked for could not be made live. They are tried again; nothing else is touched."""


class Overloaded(ServiceError):
    """The queue is full. ``retry_after_s`` is a hint, in seconds, when to try again."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class NotReady(ServiceError):
    """The service cannot answer yet, or no longer."""


class DeadlineExceeded(ServiceError):
    """The caller's time ran out before the answer was there."""


class QueueTimedOut(ServiceError):
    """The caller's time ran out while its request still waited for its turn, or would have: there is too little
    capacity. ``retry_after_s`` as with ``Overloaded``.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ModelFailed(ServiceError):
    """The model itself raised while running, and the request is not to blame."""


KINDS: tuple[type[ServiceError], ...] = tuple(ServiceError.__subclasses__())
"""The kinds drawn above: what a door's table must cover. A narrower error elsewhere is one of them by inheritance."""


def retry_after_s(error: ServiceError) -> float | None:
    """In how many seconds the same request may find an answer, where that is to be expected."""
    if isinstance(error, Overloaded | QueueTimedOut):
        return error.retry_after_s
    return 1.0 if isinstance(error, NotReady) else None


def kind_of(error: ServiceError) -> type[ServiceError]:
    """The kind an error belongs to."""
    return next((kind for kind in KINDS if isinstance(error, kind)), ServiceError)


def code_of(error: ServiceError) -> str:
    """What machines call the kind of an error, whatever the door: ``dataset_not_found``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind_of(error).__name__).lower()
