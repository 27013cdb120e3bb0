"""TensorFlow Lite as an engine: it runs a version's ``model.tflite`` with the interpreter that TensorFlow brings along.

An interpreter runs one call at a time and keeps its buffers, so each call has one to itself. They are made when needed
and kept: as many as there ever were calls at once.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.engines.importing import IMPORTING
from service.domain.artifact import TFLITE_MODEL
from service.domain.engines import EngineChoice
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Signature, Tensors, TensorSpec, type_name


class TfLiteEngine:
    """Loads TF Lite models into this process. Thread-safe."""

    def signatures(self, directory: Path) -> Mapping[str, Signature]:
        """Read the signatures. Raises: ModelFailed."""
        return self.load(directory).signatures

    def load(self, directory: Path) -> TfLiteGraph:
        """Load the model. Raises: ModelFailed."""
        try:
            content = (directory / TFLITE_MODEL).read_bytes()
        except OSError as error:
            raise ModelFailed(f"{TFLITE_MODEL} cannot be read: {error}") from error
        try:
            return TfLiteGraph(content)
        except (ValueError, RuntimeError) as error:
            raise ModelFailed(f"TensorFlow Lite cannot load {TFLITE_MODEL}: {_gist(error)}") from error


class TfLiteGraph:
    """One loaded model."""

    engine = "tflite"

    def __init__(self, content: bytes) -> None:
        """Raises: ValueError, RuntimeError, ModelFailed."""
        self._content = content
        self._lock = threading.Lock()
        first = _interpreter(content)
        self._idle = [first]
        self.signatures = _signatures(first)
        self.choices = {name: EngineChoice(self.engine, "it is a TensorFlow Lite model") for name in self.signatures}

    def run(self, signature: str, inputs: Tensors) -> dict[str, Array]:
        """Run one signature. Raises: InvalidInput, ModelFailed."""
        with self._lock:
            interpreter = self._idle.pop() if self._idle else None
        interpreter = interpreter or _interpreter(self._content)
        try:
            return _run(interpreter, signature, inputs)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"the model does not take these inputs: {_gist(error)}") from error
        except RuntimeError as error:
            raise ModelFailed(_gist(error)) from error
        finally:
            with self._lock:
                self._idle.append(interpreter)

    def close(self) -> None:
        """Free every interpreter."""
        self._idle.clear()


def _interpreter(content: bytes) -> Any:
    try:
        with IMPORTING:
            from tensorflow.lite.python.interpreter import Interpreter
    except ImportError as error:
        raise ModelFailed(f"TensorFlow here comes without the TensorFlow Lite interpreter: {error}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it is deprecated, in favour of a package that is another project
        interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, signature: str, inputs: Tensors) -> dict[str, Array]:
    if signature in interpreter.get_signature_list():
        outputs = interpreter.get_signature_runner(signature)(**inputs)
        return {alias: _own(array) for alias, array in outputs.items()}
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], inputs[_alias(detail)].shape)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[_alias(detail)])
    interpreter.invoke()
    return {
        _alias(detail): _own(interpreter.get_tensor(detail["index"])) for detail in interpreter.get_output_details()
    }


def _own(array: Array) -> Array:
    """A copy, for the interpreter writes into its own buffers again; strings as every other engine gives them."""
    return array.astype(object) if array.dtype.kind in "SU" else array.copy()


def _signatures(interpreter: Any) -> Mapping[str, Signature]:
    """The model's signatures or, of a model that has none, one of its tensors under the default name."""
    names = interpreter.get_signature_list()
    if not names:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        return {
            DEFAULT_SIGNATURE: Signature(
                {_alias(one): _spec(_alias(one), one) for one in inputs},
                {_alias(one): _spec(_alias(one), one) for one in outputs},
            )
        }
    found = {}
    for name in names:
        runner = interpreter.get_signature_runner(name)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        found[name] = Signature(
            {alias: _spec(alias, one) for alias, one in sorted(inputs.items())},
            {alias: _spec(alias, one) for alias, one in sorted(outputs.items())},
        )
    return found


def _alias(detail: Mapping[str, Any]) -> str:
    return str(detail["name"]).partition(":")[0]


def _spec(alias: str, detail: Mapping[str, Any]) -> TensorSpec:
    dims = detail.get("shape_signature")
    sizes = detail["shape"] if dims is None or not len(dims) else dims
    dtype = np.dtype(object) if detail["dtype"] in (np.bytes_, np.str_) else np.dtype(detail["dtype"])
    shape = tuple(None if size < 0 else int(size) for size in sizes)
    return TensorSpec(alias, type_name(np.empty(0, dtype)), shape, str(detail["name"]))


def _gist(error: Exception) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())[:1000]
