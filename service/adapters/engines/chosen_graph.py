"""A SavedModel in memory whose signatures each run on the engine that was chosen for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from service.adapters.engines.openvino.function import OpenVinoFunction
from service.adapters.engines.tensorflow_engine import TensorFlowGraph
from service.domain.engines import EngineChoice
from service.domain.tensors import DEFAULT_SIGNATURE, FEATURES_SIGNATURE, Array, Signature, Tensors


class ChosenGraph:
    """One loaded SavedModel: TensorFlow holds it too only once something has to run there."""

    def __init__(
        self,
        signatures: Mapping[str, Signature],
        choices: Mapping[str, EngineChoice],
        functions: Mapping[str, OpenVinoFunction],
        tensorflow: Callable[[], TensorFlowGraph],
    ) -> None:
        """``functions`` are the signatures that OpenVINO runs; ``tensorflow`` loads the model for all others."""
        self.signatures, self.choices = signatures, choices
        self._functions, self._load = dict(functions), tensorflow
        self._loading = threading.Lock()
        self._tensorflow: TensorFlowGraph | None = None

    @property
    def engine(self) -> str:
        """What runs the signature that people ask for most."""
        wanted = (name for name in (DEFAULT_SIGNATURE, FEATURES_SIGNATURE, *self.choices) if name in self.choices)
        return self.choices[next(wanted)].engine if self.choices else "tensorflow"

    def run(self, signature: str, inputs: Tensors) -> dict[str, Array]:
        """Run one signature. Raises: InvalidInput, ModelFailed; NotSupported, it is left to TensorFlow, which is not
        to be used.
        """
        function = self._functions.get(signature)
        if function is not None:
            return function.run(inputs)
        if self._tensorflow is None:
            self.signatures[signature].check(inputs)  # what cannot be answered is no reason to load anything
            self.load_tensorflow()
        assert self._tensorflow is not None, "it was loaded just now"
        return self._tensorflow.run(signature, inputs)

    def load_tensorflow(self) -> None:
        """Have TensorFlow hold the model too. Raises: ModelFailed, NotSupported."""
        with self._loading:
            if self._tensorflow is None:
                self._tensorflow = self._load()

    def close(self) -> None:
        """Free it."""
        for function in self._functions.values():
            function.close()
        self._functions.clear()
        if self._tensorflow is not None:
            self._tensorflow.close()
