"""TensorFlow's and TF Serving's message classes, without TensorFlow.

The classes are plain generated protobuf code, but they lie inside the package ``tensorflow``, and importing that is
seconds and half a gigabyte. So an empty package of that name stands in for it while they are imported, and goes again:
a real ``import tensorflow`` afterwards works as ever, and finds these very classes. Where TensorFlow is there already,
they are its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_TENSORFLOW = "tensorflow"


class _StandIn(ModuleType):
    """A package that is only a place to import from.

    A thread that imports TensorFlow while it stands here gets hold of it; whatever that thread then asks of it, it has
    from the real one.
    """

    def __init__(self, places: list[str]) -> None:
        super().__init__(_TENSORFLOW, "stands in for TensorFlow while its message classes are imported")
        self.__path__ = places
        self._importing, self._gone = threading.get_ident(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        own = not self._gone.is_set() and threading.get_ident() == self._importing
        if name.startswith("__") or own:
            raise AttributeError(f"the stand-in for TensorFlow has no {name!r}", name=name, obj=self)
        self._gone.wait()
        return getattr(importlib.import_module(_TENSORFLOW), name)

    def leave(self) -> None:
        if sys.modules.get(_TENSORFLOW) is self:
            del sys.modules[_TENSORFLOW]
        self._gone.set()


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Let modules inside TensorFlow's package be imported without it. Raises: ModuleNotFoundError."""
    if _TENSORFLOW in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(_TENSORFLOW)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("TensorFlow is not installed", name=_TENSORFLOW)
    stand_in = _StandIn(list(spec.submodule_search_locations))
    sys.modules.setdefault(_TENSORFLOW, stand_in)
    try:
        yield
    finally:
        stand_in.leave()


with _without_tensorflow():
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )
    from tensorflow_serving.config import model_server_config_pb2

__all__ = [
    "classification_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "saved_model_pb2",
    "tensor_pb2",
    "types_pb2",
]
