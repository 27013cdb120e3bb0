"""A finished Keras model from a file, ``.keras`` or ``.h5``: read from a copy, in safe mode.

The file itself is never opened for writing, and its digest is compared before and after. Its format is seen from its
content, whatever it is called.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.errors import BadBase

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
OWN_CODE = frozenset({"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
"""Layers that run code or graphs which the file brings along."""


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_keras_file(source: Path, scratch: Path) -> Any:
    """The model in the file.

    Raises:
        BadBase: there is none, or it cannot be read without running code of its own; the text says why.
    """
    import keras

    if not source.is_file():
        raise BadBase(f"there is no file {source}")
    before = file_digest(source)
    copy = scratch / f"source{_suffix(source)}"
    shutil.copyfile(source, copy)
    try:
        _refuse_foreign(_configuration(copy), source.name)
        model = keras.saving.load_model(copy, compile=False, safe_mode=True)
    except BadBase:
        raise
    except Exception as error:
        raise BadBase(f"Keras cannot load {source.name}: {_gist(error)}") from error
    finally:
        copy.unlink()
    if file_digest(source) != before:
        raise BadBase(f"{source.name} changed while it was read")
    return model


def _suffix(source: Path) -> str:
    with source.open("rb") as stream:
        start = stream.read(len(HDF5_MAGIC))
    if start == HDF5_MAGIC:
        return ".h5"
    if start.startswith(ZIP_MAGIC):
        return ".keras"
    raise BadBase(f"Keras cannot load {source.name}: it is neither a .keras archive nor an HDF5 file")


def _configuration(path: Path) -> Any:
    """The description of the layers inside. Raises: whatever broken files raise."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as file:
        raw = file.attrs.get("model_config")
    if raw is None:
        raise BadBase("the file holds weights but no model; base.kind keras_file needs both")
    return json.loads(raw)


def _refuse_foreign(config: Any, name: str) -> None:
    """Raises: BadBase: a layer is not one of Keras's own."""
    for layer, kind in _foreign_layers(config):
        raise BadBase(
            f"{name}: layer {layer!r} is a {kind}, which brings code of its own; save the model as a SavedModel and "
            "take base.kind saved_model"
        )


def _foreign_layers(config: Any) -> Iterator[tuple[str, str]]:
    """Name and kind of every layer that is not one of Keras's own, without loading anything."""
    if isinstance(config, Mapping):
        kind, inner = config.get("class_name"), config.get("config")
        if isinstance(kind, str) and isinstance(inner, Mapping):
            module = config.get("module", "keras")
            own = module is None or str(module).split(".")[0] not in {"keras", "builtins"}
            if kind in OWN_CODE or own or config.get("registered_name") not in {None, kind}:
                # Activations and initialisers have no name; the layer around them does.
                yield str(inner.get("name", kind)), kind.rsplit(">", 1)[-1]
                return
        for value in config.values():
            yield from _foreign_layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _foreign_layers(value)


def _gist(error: Exception) -> str:
    """The first line of what Keras says, which may be pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
