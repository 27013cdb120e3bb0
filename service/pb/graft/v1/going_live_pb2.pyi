import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetDirectionRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("model", "version", "by", "why", "revision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    by: str
    why: str
    revision: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class StartCanaryRequest(_message.Message):
    __slots__ = ("model", "version", "by", "why", "revision", "percent", "limits", "promote_after")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_AFTER_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    by: str
    why: str
    revision: int
    percent: float
    limits: Limits
    promote_after: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., revision: _Optional[int] = ..., percent: _Optional[float] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., promote_after: _Optional[int] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("model", "by", "why", "revision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    by: str
    why: str
    revision: int
    def __init__(self, model: _Optional[str] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class SetShadowsRequest(_message.Message):
    __slots__ = ("model", "versions", "by", "why", "revision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    versions: _containers.RepeatedScalarFieldContainer[int]
    by: str
    why: str
    revision: int
    def __init__(self, model: _Optional[str] = ..., versions: _Optional[_Iterable[int]] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class SetLabelRequest(_message.Message):
    __slots__ = ("model", "label", "split", "by", "why", "revision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    label: str
    split: _containers.RepeatedCompositeFieldContainer[Share]
    by: str
    why: str
    revision: int
    def __init__(self, model: _Optional[str] = ..., label: _Optional[str] = ..., split: _Optional[_Iterable[_Union[Share, _Mapping]]] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("more_errors", "slower", "disagreement")
    MORE_ERRORS_FIELD_NUMBER: _ClassVar[int]
    SLOWER_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    more_errors: float
    slower: float
    disagreement: float
    def __init__(self, more_errors: _Optional[float] = ..., slower: _Optional[float] = ..., disagreement: _Optional[float] = ...) -> None: ...

class Canary(_message.Message):
    __slots__ = ("version", "percent", "limits", "promote_after")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_AFTER_FIELD_NUMBER: _ClassVar[int]
    version: int
    percent: float
    limits: Limits
    promote_after: int
    def __init__(self, version: _Optional[int] = ..., percent: _Optional[float] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., promote_after: _Optional[int] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("version", "weight")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    version: int
    weight: float
    def __init__(self, version: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class Direction(_message.Message):
    __slots__ = ("model", "revision", "stable", "canary", "shadows", "labels", "before", "seen", "changes")
    class Label(_message.Message):
        __slots__ = ("label", "split")
        LABEL_FIELD_NUMBER: _ClassVar[int]
        SPLIT_FIELD_NUMBER: _ClassVar[int]
        label: str
        split: _containers.RepeatedCompositeFieldContainer[Share]
        def __init__(self, label: _Optional[str] = ..., split: _Optional[_Iterable[_Union[Share, _Mapping]]] = ...) -> None: ...
    class Seen(_message.Message):
        __slots__ = ("version", "requests", "failed", "p95_ms", "compared", "differed", "problem")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        REQUESTS_FIELD_NUMBER: _ClassVar[int]
        FAILED_FIELD_NUMBER: _ClassVar[int]
        P95_MS_FIELD_NUMBER: _ClassVar[int]
        COMPARED_FIELD_NUMBER: _ClassVar[int]
        DIFFERED_FIELD_NUMBER: _ClassVar[int]
        PROBLEM_FIELD_NUMBER: _ClassVar[int]
        version: int
        requests: int
        failed: int
        p95_ms: float
        compared: int
        differed: int
        problem: str
        def __init__(self, version: _Optional[int] = ..., requests: _Optional[int] = ..., failed: _Optional[int] = ..., p95_ms: _Optional[float] = ..., compared: _Optional[int] = ..., differed: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...
    class Change(_message.Message):
        __slots__ = ("at", "what", "by", "why")
        AT_FIELD_NUMBER: _ClassVar[int]
        WHAT_FIELD_NUMBER: _ClassVar[int]
        BY_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        at: _timestamp_pb2.Timestamp
        what: str
        by: str
        why: str
        def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., what: _Optional[str] = ..., by: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    model: str
    revision: int
    stable: int
    canary: Canary
    shadows: _containers.RepeatedScalarFieldContainer[int]
    labels: _containers.RepeatedCompositeFieldContainer[Direction.Label]
    before: _containers.RepeatedScalarFieldContainer[int]
    seen: _containers.RepeatedCompositeFieldContainer[Direction.Seen]
    changes: _containers.RepeatedCompositeFieldContainer[Direction.Change]
    def __init__(self, model: _Optional[str] = ..., revision: _Optional[int] = ..., stable: _Optional[int] = ..., canary: _Optional[_Union[Canary, _Mapping]] = ..., shadows: _Optional[_Iterable[int]] = ..., labels: _Optional[_Iterable[_Union[Direction.Label, _Mapping]]] = ..., before: _Optional[_Iterable[int]] = ..., seen: _Optional[_Iterable[_Union[Direction.Seen, _Mapping]]] = ..., changes: _Optional[_Iterable[_Union[Direction.Change, _Mapping]]] = ...) -> None: ...
