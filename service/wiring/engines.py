"""What loads models and runs them, as the settings have it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from service.adapters.engines.by_files import EngineByFiles
from service.adapters.engines.engine_cache import EngineCache
from service.adapters.engines.openvino import quantization
from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.tflite_engine import TfLiteEngine
from service.adapters.engines.trials import Trials
from service.adapters.repositories import golden_in
from service.domain.errors import InvalidInput
from service.named_files import NamedFiles
from service.settings import ServeSettings


def engine_of(settings: ServeSettings, files: NamedFiles, trials: Trials, state: Path | None) -> EngineByFiles:
    """What loads models. ``state`` is where things are kept from one start to the next, if anything is.

    Raises:
        InvalidInput: it cannot be as was asked for.
    """
    if settings.precision == "int8" and not quantization.available():
        raise InvalidInput(quantization.MISSING)
    tags = [tag for tag in settings.saved_model_tags.split(",") if tag]
    # TensorFlow's own default, one a core, is as many as there are lanes: endless graphs hold them all, and a spare
    # lane would run nothing.
    inter_op = settings.inter_op_threads or max(os.cpu_count() or 1, files.lanes + settings.spare_lanes)
    tensorflow = TensorFlowEngine(tags=tags, intra_op_threads=settings.intra_op_threads, inter_op_threads=inter_op)
    saved_model = SavedModelEngine(
        tensorflow,
        trials,
        EngineCache(_engine_cache(settings, state), settings.engine_cache_bytes),
        EngineWish(settings.engine, settings.precision, files.lanes, tags),
        golden_in,
    )
    return EngineByFiles(saved_model, TfLiteEngine(), prefer_tflite=settings.prefer_tflite)


def _engine_cache(settings: ServeSettings, state: Path | None) -> Path | None:
    """Where compiled models are kept: of a service that keeps nothing else, in the user's own cache if he has one."""
    if settings.engine_cache:
        return Path(settings.engine_cache).resolve()
    if state is not None:
        return state / "engines"
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "graft" / "engines"
    with contextlib.suppress(RuntimeError):
        return Path.home() / ".cache" / "graft" / "engines"
    return None
