"""A signature of a SavedModel as an OpenVINO graph, whose inputs and outputs are known by the signature's names.

OpenVINO reads ``serving_default`` and no other signature, so the wanted one is put in that place in a copy of
``saved_model.pb``. Variables that it does not find that way, as those of Keras models that were saved and not exported,
are written into the graph by TensorFlow first.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.adapters.engines.openvino.runtime import core
from service.adapters.engines.saved_model_files import FILE, SavedModelFile
from service.domain.tensors import DEFAULT_SIGNATURE, NUMPY_TYPES, Signature
from service.tensorflow_protos import saved_model_pb2

_PARTS = ("variables", "assets")


class NotConverted(Exception):
    """OpenVINO cannot read it; the text says why, as far as it said."""


@dataclass(frozen=True)
class Converted:
    """A graph of OpenVINO's, and which of its inputs and outputs is which of the signature's."""

    model: Any
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


Function = Callable[[], Any]
"""The signature's function as TensorFlow has it, loaded when it is asked for."""


def convert(directory: Path, file: SavedModelFile, name: str, function: Function, scratch: Path) -> Converted:
    """Convert a signature; ``scratch`` is an empty directory for files on the way. Raises: NotConverted."""
    signature = file.signatures[name]
    try:
        return _named(_read_saved_model(directory, file, name, scratch / "saved_model"), signature, {})
    except (RuntimeError, NotConverted):
        return _convert_frozen(signature, function, scratch / "frozen.pb")


def _read_saved_model(directory: Path, file: SavedModelFile, name: str, place: Path) -> Any:
    place.mkdir()
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    graph = saved.meta_graphs.add()
    graph.CopyFrom(file.meta_graph)
    wanted = file.meta_graph.signature_def[name]
    graph.ClearField("signature_def")
    graph.signature_def[DEFAULT_SIGNATURE].CopyFrom(wanted)
    del graph.meta_info_def.tags[:]
    graph.meta_info_def.tags.append("serve")
    (place / FILE).write_bytes(saved.SerializeToString())
    for part in _PARTS:
        if (directory / part).exists():
            (place / part).symlink_to((directory / part).resolve(), target_is_directory=True)
    try:
        return core().read_model(str(place))
    finally:
        shutil.rmtree(place)


def _convert_frozen(signature: Signature, function: Function, place: Path) -> Converted:
    """By way of a graph that holds its variables as constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    live = function()
    try:
        frozen = convert_variables_to_constants_v2(live)
        place.write_bytes(frozen.graph.as_graph_def().SerializeToString())
        model = core().read_model(str(place))
    except Exception as error:  # TensorFlow raises anything for graphs that it cannot write like that
        raise NotConverted(f"OpenVINO cannot read it: {gist(error)}") from error
    finally:
        place.unlink(missing_ok=True)
    # The outputs come in the order of their names, as TensorFlow flattens them.
    names = {tensor.name: alias for alias, tensor in zip(sorted(live.structured_outputs), frozen.outputs, strict=True)}
    return _named(model, signature, names)


def _named(model: Any, signature: Signature, others: Mapping[str, str]) -> Converted:
    """Say which is which. ``others`` are aliases by the names of tensors. Raises: NotConverted."""
    inputs = _matched(model.inputs, {}, signature.inputs)
    outputs = _matched(model.outputs, others, signature.outputs)
    for ports, places, specs in (
        (model.inputs, inputs, signature.inputs),
        (model.outputs, outputs, signature.outputs),
    ):
        for alias, spec in specs.items():
            dtype = NUMPY_TYPES[spec.dtype]
            given = ports[places[alias]].get_element_type()
            if dtype.kind != "O" and given.to_dtype() != dtype:
                raise NotConverted(f"{alias!r} is {spec.dtype} here and {given} there")
    return Converted(model, inputs, outputs)


def _matched(ports: Any, others: Mapping[str, str], wanted: Mapping[str, Any]) -> dict[str, int]:
    places: dict[str, int] = {}
    for at, port in enumerate(ports):
        names = {others.get(name, name.removesuffix(":0")) for name in port.get_names()}
        for alias in names & wanted.keys():
            places.setdefault(alias, at)
    if places.keys() != wanted.keys():
        raise NotConverted(f"OpenVINO does not know {sorted(wanted.keys() - places.keys())} by these names")
    return places


def gist(error: BaseException) -> str:
    """What OpenVINO has to say, without where in its sources it said it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '", "FrontEnd API failed"))]
    return "; ".join(told[:2] or lines[:2] or [repr(error)])[:300]
