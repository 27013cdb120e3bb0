"""TensorFlow as an engine: it loads any SavedModel, of TensorFlow 2 or 1, and runs every signature on host or GPU.

TensorFlow is imported with the first model, on the loader's thread, so that the ports open before it.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.engines import saved_model_files
from service.adapters.engines.importing import IMPORTING
from service.domain.engines import EngineChoice
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import BFLOAT16, Array, Signature, Tensors

_HEADING = "Graph execution error:"


class TensorFlowEngine:
    """Loads SavedModels into this process. Thread-safe."""

    def __init__(
        self, *, tags: Collection[str] = saved_model_files.SERVE, intra_op_threads: int = 0, inter_op_threads: int = 0
    ) -> None:
        """``tags`` say which graph of a SavedModel is meant; 0 threads are as many as TensorFlow likes."""
        self._tags, self._threads = sorted(tags), (intra_op_threads, inter_op_threads)
        self._wanted, self._there = threading.Event(), threading.Event()
        self._tf: Any = None
        self._failure: BaseException | None = None
        threading.Thread(target=self._bring_in, name="tensorflow", daemon=True).start()

    def signatures(self, directory: Path) -> Mapping[str, Signature]:
        """Read the signatures from ``saved_model.pb``. Raises: ModelFailed."""
        return saved_model_files.read(directory, self._tags).signatures

    def load(self, directory: Path) -> TensorFlowGraph:
        """Load graph and weights. Raises: ModelFailed."""
        tf = self._tensorflow()
        signatures = saved_model_files.read(directory, self._tags).signatures
        try:
            loaded = tf.saved_model.load(str(directory), tags=self._tags)
            functions = {name: loaded.signatures[name] for name in signatures}
        except Exception as error:  # TensorFlow raises anything from OSError to KeyError for broken files
            raise ModelFailed(f"TensorFlow cannot load it: {_gist(error)}") from error
        return TensorFlowGraph(tf, loaded, functions, signatures)

    def has_gpu(self) -> bool:
        """Whether models run on one. Raises: ModelFailed."""
        return bool(self._tensorflow().config.list_physical_devices("GPU"))

    def _tensorflow(self) -> Any:
        self._wanted.set()
        self._there.wait()
        if self._failure is not None:
            raise ModelFailed(f"TensorFlow cannot be imported: {self._failure}") from self._failure
        return self._tf

    def _bring_in(self) -> None:
        """Import TensorFlow, once it is wanted, and let it make its threads: they inherit this one's priority, which a
        loader's thread has lowered for itself.
        """
        self._wanted.wait()
        try:
            with IMPORTING:
                import tensorflow as tf

                self._set_up(tf)
            self._tf = tf
        except BaseException as error:  # noqa: BLE001 - whoever wanted it is told
            self._failure = error
        self._there.set()

    def _set_up(self, tf: Any) -> None:
        for gpu in tf.config.list_physical_devices("GPU"):
            # Without this TensorFlow takes the whole card at once and a trainer beside it gets nothing.
            tf.config.experimental.set_memory_growth(gpu, True)
        intra_op, inter_op = self._threads
        if intra_op:
            tf.config.threading.set_intra_op_parallelism_threads(intra_op)
        if inter_op:
            tf.config.threading.set_inter_op_parallelism_threads(inter_op)
        tf.zeros(())
        # 370,000 objects that will never die: a full collection over them stops every thread for 200 ms.
        gc.collect()
        gc.freeze()


class TensorFlowGraph:
    """One loaded SavedModel."""

    engine = "tensorflow"

    def __init__(self, tf: Any, loaded: Any, functions: Mapping[str, Any], signatures: Mapping[str, Signature]) -> None:
        self.signatures = signatures
        self.choices = {name: EngineChoice(self.engine, "it runs everything") for name in signatures}
        # The functions hold their variables weakly: ``loaded`` is what keeps them.
        self._tf, self._loaded, self._functions = tf, loaded, dict(functions)

    def run(self, signature: str, inputs: Tensors) -> dict[str, Array]:
        """Run one signature. Raises: InvalidInput, ModelFailed."""
        tf = self._tf
        try:
            tensors = {alias: tf.constant(self._given(array)) for alias, array in inputs.items()}
            outputs = self._functions[signature](**tensors)
            return {alias: self._taken(tensor.numpy()) for alias, tensor in outputs.items()}
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
            raise InvalidInput(_gist(error)) from error
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"the graph does not take these inputs: {_gist(error)}") from error
        except tf.errors.OpError as error:
            raise ModelFailed(_gist(error)) from error

    def _given(self, array: Array) -> Array:
        """The bits of a bfloat16 as TensorFlow's own numpy type of that name, and anything else as it is."""
        return array.view(self._tf.bfloat16.as_numpy_dtype) if array.dtype == BFLOAT16 else array

    def _taken(self, value: Any) -> Array:
        """A scalar string comes as bytes, which numpy would shorten by their last zeros."""
        if isinstance(value, bytes):
            return np.array(value, dtype=object)
        array = np.asarray(value)
        return array.view(BFLOAT16) if array.dtype == self._tf.bfloat16.as_numpy_dtype else array

    def function(self, signature: str) -> Any:
        """The signature as TensorFlow has it."""
        return self._functions[signature]

    def close(self) -> None:
        """Free it, and give the memory back to the system: freed arenas would else look like a leak at each swap."""
        self._loaded = None
        self._functions.clear()
        gc.collect()
        _trim_heap()


def _gist(error: BaseException) -> str:
    """What happened, out of a message that goes on for pages about where in the graph and in whose Python it did."""
    text = getattr(error, "message", None) or str(error) or repr(error)
    before_node = str(text).partition("[[{{node")[0].partition("[Op:")[0]
    lines = [line.strip() for line in before_node.splitlines() if line.strip()]
    # After this heading come the node and its stack trace, and only then, last, what went wrong.
    told = lines[-1:] if lines[:1] == [_HEADING] else lines[:2]
    return "; ".join(told)[:1000]


def _trim_heap() -> None:
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return  # not glibc: its allocator returns memory by itself
