"""OpenVINO itself: brought in when it is first needed, without its telemetry, and told how to compute."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from service.domain.engines import F32

DEVICE = "CPU"
_HINTS = {"f32": "f32", "bf16": "bf16", "int8": "f32"}
_once = threading.Lock()


@cache
def version() -> str | None:
    """Which OpenVINO is installed, without importing it; None where there is none."""
    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return None


def runtime() -> Any:
    """The package. Raises: ImportError."""
    with _once:
        # It would report its use over the network; where this is not to be had, it does without.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        _meet_numpy(openvino)
        return openvino


@cache
def _meet_numpy(openvino: Any) -> None:
    """Let its bindings look up numpy while only one thread uses them: two that were the first to do so at once would
    wait for each other for ever, one of them with the interpreter's lock.
    """
    openvino.Tensor(np.zeros(1, np.float32)).data.fill(0)


@cache
def core() -> Any:
    """The one object that reads and compiles. Raises: ImportError."""
    return runtime().Core()


def options(lanes: int, precision: str = F32) -> Mapping[str, Any]:
    """How to compute: a thread a lane, and never in fewer bits than was said, which is what it would do by itself.

    They are to be given when a compiled model is read back, too: it does not remember them.
    """
    return {"INFERENCE_PRECISION_HINT": _HINTS[precision], "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": lanes}
