"""A trial: does OpenVINO answer a signature as TensorFlow does, twice over, on every case there is?

It is held in a process of its own (``process``): neither TensorFlow nor compiling is then in the way of requests,
and what hangs or crashes takes no server with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.engines import saved_model_files
from service.adapters.engines.engine_cache import has_nvidia
from service.adapters.engines.findings import Accepted, Places, Refused, Verdict, keep_compiled, write_verdicts
from service.adapters.engines.openvino import rules
from service.adapters.engines.openvino.bounds import Unbounded, bounds
from service.adapters.engines.openvino.conversion import Converted, NotConverted, convert
from service.adapters.engines.openvino.function import OpenVinoFunction
from service.adapters.engines.openvino.quantization import quantized
from service.adapters.engines.openvino.runtime import DEVICE, core, options
from service.adapters.engines.saved_model_files import SavedModelFile
from service.adapters.engines.tensorflow_engine import TensorFlowEngine, TensorFlowGraph
from service.adapters.engines.trials.cases import cases
from service.domain.engines import F32, TOLERANCE
from service.domain.errors import ServiceError
from service.domain.tensors import Array, Tensors, farthest

Run = Callable[[Tensors], Mapping[str, Array]]
_PREPARING_S, _RUN_S = 300, 30
"""What converting and compiling, and one run of a few rows, may take of computing, on all cores together."""


@dataclass(frozen=True)
class Task:
    """What is to be tried, how OpenVINO is to compute, and where the findings go."""

    directory: str
    tags: Sequence[str]
    signatures: Sequence[str]
    precision: str
    lanes: int
    beside_gpu: bool
    """Whether OpenVINO is to run a signature on the CPU where TensorFlow has a GPU."""
    findings: str
    golden: Mapping[str, str]
    """By signature a file of inputs in ``findings``, an array an input."""


class Disagreement(Exception):
    """OpenVINO does not answer as TensorFlow does; the text says where."""


class Trial:
    """Tries the signatures of one SavedModel."""

    def __init__(self, task: Task, tensorflow: TensorFlowEngine, allow: Callable[[int], None]) -> None:
        """``allow`` is told before each step how many seconds it may take of computing, and ends what takes more.

        Raises:
            ModelFailed: there is no such SavedModel.
        """
        self._task, self._tensorflow, self._allow = task, tensorflow, allow
        self._directory, self._findings = Path(task.directory), Path(task.findings)
        self._file: SavedModelFile = saved_model_files.read(self._directory, task.tags)
        self._loaded: TensorFlowGraph | None = None

    def hold(self) -> None:
        """Try every signature and write what was found. Raises: ModelFailed, TensorFlow cannot load the model."""
        verdicts: dict[str, Verdict] = {}
        try:
            for at, name in enumerate(self._task.signatures):
                try:
                    verdicts[name] = self._try(name, f"{at}.compiled")
                except (Disagreement, NotConverted, Unbounded) as refusal:
                    verdicts[name] = Refused(str(refusal))
        finally:
            if self._loaded is not None:
                self._loaded.close()
        write_verdicts(self._findings, verdicts)

    def _try(self, name: str, compiled_name: str) -> Verdict:
        task, signature = self._task, self._file.signatures[name]
        refusal = rules.refusal(self._file, name)
        if refusal:
            return Refused(refusal)
        self._allow(_PREPARING_S)
        if has_nvidia() and not task.beside_gpu and self._tensorflow.has_gpu():
            return Refused("TensorFlow has a GPU here")
        converted = convert(self._directory, self._file, name, lambda: self._reference().function(name), self._findings)
        places = Places(converted.inputs, converted.outputs, _by_alias(converted, bounds(converted.model)))
        shown = [*self._golden(name), *cases(signature, places.bounds)]
        model = quantized(converted, shown) if task.precision == "int8" else converted.model
        compiled = core().compile_model(model, DEVICE, options(task.lanes, task.precision))
        tried = OpenVinoFunction(compiled, signature, places)
        reference = self._reference()
        run = self._bounded(lambda inputs: reference.run(name, inputs))
        found = compared(run, self._bounded(tried.run), shown, exact=task.precision == F32)
        self._allow(_PREPARING_S)
        digest = keep_compiled(_exported(compiled), self._findings / compiled_name)
        return Accepted(places, compiled_name, digest, found.difference, found.agreement)

    def _bounded(self, run: Run) -> Run:
        def bounded(inputs: Tensors) -> Mapping[str, Array]:
            self._allow(_RUN_S)
            return run(inputs)

        return bounded

    def _golden(self, name: str) -> list[Tensors]:
        file = self._task.golden.get(name)
        return [dict(np.load(self._findings / file))] if file else []

    def _reference(self) -> TensorFlowGraph:
        if self._loaded is None:
            self._loaded = self._tensorflow.load(self._directory)
        return self._loaded


@dataclass(frozen=True)
class Compared:
    """How far two engines lie apart."""

    difference: float
    agreement: float | None


def compared(reference: Run, tried: Run, shown: Sequence[Tensors], *, exact: bool) -> Compared:
    """Hold ``tried`` against ``reference`` on every case, twice: the second round shows what the first has changed.

    Raises:
        Disagreement: an answer is too far off, unless only its rounding and not ``exact``; or one of the two refuses
            what the other answers; or there is no case that both answer.
    """
    difference, same, rows, answered = 0.0, 0, 0, 0
    for inputs in (*shown, *shown):
        expected, actual = _answer(reference, inputs), _answer(tried, inputs)
        if isinstance(expected, ServiceError) and isinstance(actual, ServiceError):
            continue
        if isinstance(expected, ServiceError):
            raise Disagreement(f"it answers inputs that TensorFlow refuses: {expected}")
        if isinstance(actual, ServiceError):
            raise Disagreement(f"it refuses inputs that TensorFlow answers: {actual}")
        answered += 1
        for alias, want in expected.items():
            got = actual[alias]
            gap = farthest(want, got)
            if want.dtype != got.dtype or not (gap <= TOLERANCE or (not exact and np.isfinite(gap))):
                raise Disagreement(f"output {alias!r} is off by {gap:.2g} of its spread; {TOLERANCE:g} is allowed")
            difference = max(difference, gap)
            if want.ndim == 2 and want.dtype.kind == "f" and want.size:
                same, rows = same + int((want.argmax(1) == got.argmax(1)).sum()), rows + len(want)
    if not answered:
        raise Disagreement("no generated input suits it")
    return Compared(difference, same / rows if rows else None)


def _answer(run: Run, inputs: Tensors) -> Mapping[str, Array] | ServiceError:
    try:
        return run(inputs)
    except ServiceError as error:
        return error


def _by_alias(converted: Converted, found: Mapping[str, int]) -> dict[str, int]:
    names = {converted.model.inputs[at].get_node().get_friendly_name(): name for name, at in converted.inputs.items()}
    return {names[name]: bound for name, bound in found.items()}


def _exported(compiled: Any) -> bytes:
    content = compiled.export_model()
    return content if isinstance(content, bytes) else bytes(content.getbuffer())
