"""The engine for SavedModels: OpenVINO for every signature that it answers as TensorFlow does, TensorFlow for the rest.

Whether it does is found out by a trial, once for the same content on the same kind of machine; what was found is kept,
with the compiled graphs. A signature that stays on TensorFlow beside one that does not costs nothing before it is first
asked for.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.engines import saved_model_files
from service.adapters.engines.chosen_graph import ChosenGraph
from service.adapters.engines.engine_cache import EngineCache, content_of, has_nvidia, processor
from service.adapters.engines.findings import Accepted, Damaged, Refused, Verdict, read_compiled, read_verdicts
from service.adapters.engines.openvino import rules
from service.adapters.engines.openvino.function import OpenVinoFunction
from service.adapters.engines.openvino.runtime import DEVICE, core, options, runtime, version
from service.adapters.engines.ordinary_thread import OrdinaryThread
from service.adapters.engines.saved_model_files import SavedModelFile
from service.adapters.engines.tensorflow_engine import TensorFlowEngine, TensorFlowGraph
from service.adapters.engines.trials import TrialFailed, Trials
from service.adapters.engines.trials.trial import Task
from service.application.ports import GoldenPair
from service.domain.engines import F32, OPENVINO, TENSORFLOW, TOLERANCE, EngineChoice
from service.domain.errors import ModelFailed, NotSupported
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Signature

log = logging.getLogger(__name__)

Chosen = tuple[dict[str, EngineChoice], dict[str, OpenVinoFunction]]
"""What became of the signatures that may be tried, and those of them that OpenVINO runs."""
_RULES = 3
"""To be raised when a trial is held otherwise than before: what was found by other rules is not found."""
_GOLDEN_FILE = "golden.npz"


@dataclass(frozen=True, slots=True)
class EngineWish:
    """What an operator wants of engines."""

    engine: str = "auto"
    """``auto``, ``tensorflow``, or ``openvino``, which then must run what people ask for by default."""
    precision: str = F32
    lanes: int = 1
    """How many runs go on at once: as many threads OpenVINO has."""
    tags: Collection[str] = saved_model_files.SERVE


class SavedModelEngine:
    """Loads SavedModels and chooses what runs each signature. Thread-safe."""

    def __init__(
        self,
        tensorflow: TensorFlowEngine,
        trials: Trials,
        cache: EngineCache,
        wish: EngineWish,
        golden: Callable[[Path], GoldenPair | None] = lambda directory: None,
    ) -> None:
        """``golden`` reads a version's golden pair, if it has one."""
        self._tensorflow, self._trials, self._cache = tensorflow, trials, cache
        self._wish, self._golden = wish, golden
        self._ordinary = OrdinaryThread()

    def signatures(self, directory: Path) -> Mapping[str, Signature]:
        """Read the signatures from ``saved_model.pb``. Raises: ModelFailed."""
        return saved_model_files.read(directory, self._wish.tags).signatures

    def load(self, directory: Path) -> ChosenGraph:
        """Load it for the engines that are to run it. Raises: ModelFailed."""
        file = saved_model_files.read(directory, self._wish.tags)
        before = {name: self._refusal(file, name) for name in file.signatures}
        functions: dict[str, OpenVinoFunction] = {}
        choices = {name: EngineChoice(TENSORFLOW, reason) for name, reason in before.items() if reason is not None}
        content = _content(directory) if len(choices) < len(before) else ""
        if content:
            wanted = [name for name, reason in before.items() if reason is None]
            found, functions = self._openvino(directory, file, wanted, content)
            choices |= found
        graph = ChosenGraph(
            file.signatures,
            dict(sorted(choices.items())),
            functions,
            lambda: self._load_late(directory, content),
        )
        self._insist(graph)
        if not functions:
            graph.load_tensorflow()
        _tell(directory, graph)
        return graph

    def _refusal(self, file: SavedModelFile, name: str) -> str | None:
        """Why a signature goes to TensorFlow without a trial."""
        if self._wish.engine == TENSORFLOW:
            return "as was asked for"
        if version() is None:
            return "OpenVINO is not installed"
        return rules.refusal(file, name)

    def _insist(self, graph: ChosenGraph) -> None:
        """Where OpenVINO alone was asked for, a model that it cannot run does not load. Raises: ModelFailed."""
        main = graph.choices.get(DEFAULT_SIGNATURE) or next(iter(graph.choices.values()), None)
        if self._wish.engine == OPENVINO and main is not None and main.engine != OPENVINO:
            graph.close()
            raise ModelFailed(f"OpenVINO was asked for and cannot run it: {main.reason}")

    def _openvino(self, directory: Path, file: SavedModelFile, names: list[str], content: str) -> Chosen:
        """What became of the signatures that may be tried, and those that OpenVINO runs. Raises: ModelFailed."""
        golden = self._golden(directory)
        golden = golden if golden is not None and golden.signature in names else None
        key = self._key(content, names, golden)
        found = self._kept(directory, file, key)
        if found is None:
            with self._cache.alone(key):  # another process may be at it: then what it finds is found here too
                found = self._kept(directory, file, key) or self._tried(directory, file, names, golden, key)
        return found

    def _kept(self, directory: Path, file: SavedModelFile, key: str) -> Chosen | None:
        """What an earlier trial found."""
        kept = self._cache.find(key)
        if kept is None:
            return None
        try:
            return self._take(file, read_verdicts(kept), kept)
        except Damaged as damage:
            log.warning("what was kept of %s is damaged and made anew: %s", directory, damage)
            self._cache.discard(key)
            return None

    def _tried(
        self, directory: Path, file: SavedModelFile, names: list[str], golden: GoldenPair | None, key: str
    ) -> Chosen:
        """What a trial finds now."""
        with self._cache.scratch() as scratch:
            try:
                self._hold_trial(directory, names, golden, scratch)
                findings = self._cache.keep(scratch, key)
                return self._take(file, read_verdicts(findings), findings)
            except (TrialFailed, Damaged) as failure:
                return {name: EngineChoice(TENSORFLOW, str(failure)) for name in names}, {}

    def _hold_trial(self, directory: Path, names: list[str], golden: GoldenPair | None, scratch: Path) -> None:
        if golden is not None:
            np.savez(scratch / _GOLDEN_FILE, **golden.inputs)  # type: ignore[arg-type]
        wish = self._wish
        self._trials.hold(
            Task(
                str(directory.resolve()),
                sorted(wish.tags),
                names,
                wish.precision,
                wish.lanes,
                wish.engine == OPENVINO,
                str(scratch),
                {} if golden is None else {golden.signature: _GOLDEN_FILE},
            )
        )

    def _take(self, file: SavedModelFile, verdicts: Mapping[str, Verdict], findings: Path) -> Chosen:
        """Read the compiled graphs. Raises: Damaged."""
        choices, functions = {}, {}
        for name, verdict in verdicts.items():
            if isinstance(verdict, Refused):
                choices[name] = EngineChoice(TENSORFLOW, verdict.reason)
                continue
            choices[name] = EngineChoice(
                OPENVINO,
                "it gives TensorFlow's answers" if self._wish.precision == F32 else "as was asked for",
                self._wish.precision,
                verdict.difference,
                verdict.agreement,
                steady=True,  # a loop that values could keep going is not even tried
            )
            functions[name] = self._function(file.signatures[name], verdict, findings)
        return choices, functions

    def _function(self, signature: Signature, accepted: Accepted, findings: Path) -> OpenVinoFunction:
        content = np.frombuffer(bytearray(read_compiled(findings, accepted)), np.uint8)
        try:
            # The compiled graph makes its threads now, and they are the ones that will run it.
            compiled = self._ordinary.call(partial(self._imported, content))
        except RuntimeError as error:
            raise Damaged(f"{accepted.compiled} cannot be read: {error}") from error
        return OpenVinoFunction(compiled, signature, accepted.places, content)

    def _imported(self, content: Array) -> Any:
        wish = self._wish
        given = runtime().Tensor(content, shared_memory=True)
        return core().import_model(given, DEVICE, options(wish.lanes, wish.precision))

    def _load_late(self, directory: Path, content: str) -> TensorFlowGraph:
        """Load the model into TensorFlow too: the same one. Raises: ModelFailed, NotSupported."""
        if self._wish.engine == OPENVINO:
            raise NotSupported("this signature needs TensorFlow, and OpenVINO alone was asked for")
        if content:
            log.info("TensorFlow loads %s, for what only it can run", directory)
            if _content(directory) != content:
                raise ModelFailed("its files have changed since it was loaded")
        return self._tensorflow.load(directory)

    def _key(self, content: str, names: list[str], golden: GoldenPair | None) -> str:
        """A name for findings that says all they depend on."""
        wish = self._wish
        shown = hashlib.sha256()
        for alias, array in sorted(golden.inputs.items() if golden else ()):
            shown.update(f"{alias} {array.dtype} {array.shape}".encode() + array.tobytes())
        versions = [version(), metadata.version("tensorflow"), TOLERANCE, _RULES]
        machine = [processor(), has_nvidia() and wish.engine != OPENVINO]
        depends = [content, sorted(wish.tags), names, wish.precision, wish.lanes, shown.hexdigest(), versions, machine]
        return hashlib.sha256(json.dumps(depends).encode()).hexdigest()


def _content(directory: Path) -> str:
    try:
        return content_of(directory)
    except OSError as error:
        raise ModelFailed(f"its files cannot be read: {error}") from error


def _tell(directory: Path, graph: ChosenGraph) -> None:
    """One line, which says the same of several signatures once."""
    said: dict[str, list[str]] = {}
    for name, choice in graph.choices.items():
        said.setdefault(str(choice), []).append(name)
    log.info("%s: %s", directory, "; ".join(f"{', '.join(names)} by {choice}" for choice, names in said.items()))
    rough = [name for name, choice in graph.choices.items() if choice.rough]
    if rough:
        log.warning("%s: in this precision the answers of %s differ from TensorFlow's", directory, ", ".join(rough))
