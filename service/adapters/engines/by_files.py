"""Which engine runs a version: told by the files in its directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service.application.ports import Engine, Graph
from service.domain.artifact import SAVED_MODEL, TFLITE_MODEL
from service.domain.tensors import Signature


class EngineByFiles:
    """Implements the engine port by choosing: TF Lite for a version that has nothing else, or where it is preferred."""

    def __init__(self, saved_model: Engine, tflite: Engine, *, prefer_tflite: bool = False) -> None:
        self._saved_model, self._tflite, self._prefer_tflite = saved_model, tflite, prefer_tflite

    def signatures(self, directory: Path) -> Mapping[str, Signature]:
        """Ask the one that would load it. Raises: ModelFailed."""
        return self._for(directory).signatures(directory)

    def load(self, directory: Path) -> Graph:
        """Let the right one load it. Raises: ModelFailed."""
        return self._for(directory).load(directory)

    def _for(self, directory: Path) -> Engine:
        if not (directory / TFLITE_MODEL).is_file():
            return self._saved_model
        only = not (directory / SAVED_MODEL).is_file()
        return self._tflite if only or self._prefer_tflite else self._saved_model
