"""int8 weights and activations, for those who ask: calibrated on the inputs that a model is tried on anyway."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from service.adapters.engines.openvino.conversion import Converted, NotConverted, gist
from service.domain.tensors import Tensors

MISSING = "precision int8 needs nncf: pip install 'graft[int8]'"


def available() -> bool:
    """Whether what it takes is installed."""
    return find_spec("nncf") is not None


def quantized(converted: Converted, shown: Sequence[Tensors]) -> Any:
    """The graph with int8 inside; its inputs and outputs stay as they are. Raises: NotConverted."""
    os.environ.setdefault("NNCF_CI", "1")  # it reports its use over the network, unless it believes to be tested
    try:
        nncf = import_module("nncf")
    except ImportError as error:
        raise NotConverted(MISSING) from error
    rows = [
        {converted.inputs[alias]: array[at : at + 1] for alias, array in inputs.items()}
        for inputs in shown
        for at in range(min(len(array) for array in inputs.values()))
    ]
    try:
        return nncf.quantize(converted.model, nncf.Dataset(rows), subset_size=len(rows))
    except Exception as error:  # nncf raises its own, OpenVINO's and numpy's
        raise NotConverted(f"it cannot be quantized: {gist(error)}") from error
