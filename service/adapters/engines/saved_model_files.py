"""``saved_model.pb``: the graph that is meant, its signatures, and what a signature runs. Read without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from service.domain.errors import ModelFailed
from service.domain.tensors import NUMPY_TYPES, Array, Signature, TensorSpec
from service.tensorflow_protos import meta_graph_pb2, saved_model_pb2, tensor_pb2, types_pb2

FILE = "saved_model.pb"
SERVE = ("serve",)
_INIT_OP_SIGNATURES = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
_VALUES: Mapping[str, str] = {
    "DT_FLOAT": "float_val",
    "DT_DOUBLE": "double_val",
    "DT_INT64": "int64_val",
    "DT_UINT32": "uint32_val",
    "DT_UINT64": "uint64_val",
    "DT_BOOL": "bool_val",
    "DT_STRING": "string_val",
    "DT_COMPLEX64": "scomplex_val",
    "DT_COMPLEX128": "dcomplex_val",
    "DT_HALF": "half_val",
    "DT_BFLOAT16": "half_val",
}
"""Where a tensor of a type has its values; all other integers have them in ``int_val``."""


@dataclass(frozen=True, slots=True)
class SavedModelFile:
    """One graph of a SavedModel, as the file has it."""

    meta_graph: meta_graph_pb2.MetaGraphDef
    signatures: Mapping[str, Signature]

    def nodes(self, signature: str) -> Sequence[Any]:
        """The nodes of the graph that the outputs of a signature depend on. Raises: KeyError, there is no such one."""
        definition = self.meta_graph.signature_def[signature] if signature in self.signatures else None
        if definition is None:
            raise KeyError(signature)
        nodes = {node.name: node for node in self.meta_graph.graph_def.node}
        return list(_needed([name for info in definition.outputs.values() for name in _tensors(info)], nodes))

    @property
    def functions(self) -> Mapping[str, Any]:
        """All functions that nodes may call, by name."""
        return {function.signature.name: function for function in self.meta_graph.graph_def.library.function}

    def ops(self, signature: str) -> frozenset[str]:
        """The names of all operations that may run when this signature does: those its outputs depend on, and all of
        every function that is called on the way. Raises: KeyError, there is no such signature.
        """
        running, functions = list(self.nodes(signature)), self.functions
        found: set[str] = set()
        called: set[str] = set()
        while running:
            node = running.pop()
            found.add(node.op)
            # A function may be called as an operation of its own name, as TensorFlow 1 did.
            for function in {node.op, *_functions(node)} & functions.keys() - called:
                called.add(function)
                running.extend(functions[function].node_def)
        return frozenset(found - functions.keys())


def read(directory: Path, tags: Iterable[str] = SERVE) -> SavedModelFile:
    """The graph with exactly these tags, of the SavedModel in a directory. Raises: ModelFailed."""
    wanted = sorted(tags)
    try:
        proto = saved_model_pb2.SavedModel.FromString((directory / FILE).read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelFailed(f"{FILE} cannot be read: {error}") from error
    graphs = [graph for graph in proto.meta_graphs if sorted(set(graph.meta_info_def.tags)) == wanted]
    if not graphs:
        there = [sorted(graph.meta_info_def.tags) for graph in proto.meta_graphs]
        said = " and ".join(map(repr, wanted))
        raise ModelFailed(f"{FILE} has no graph tagged {said} alone; its graphs have the tags {there}")
    return SavedModelFile(graphs[0], _signatures(graphs[0]))


def _signatures(graph: Any) -> Mapping[str, Signature]:
    return {
        name: Signature(
            _specs(definition.inputs),
            _specs(definition.outputs),
            definition.method_name,
            {alias: _array(proto) for alias, proto in definition.defaults.items() if alias in definition.inputs},
        )
        for name, definition in sorted(graph.signature_def.items())
        if name not in _INIT_OP_SIGNATURES
    }


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        alias: TensorSpec(alias, _type_name(info.dtype), _shape(info.tensor_shape), info.name)
        for alias, info in sorted(infos.items())
    }


def _type_name(number: int) -> str:
    return str(types_pb2.DataType.Name(number)) if number in types_pb2.DataType.values() else str(number)


def _shape(proto: Any) -> tuple[int | None, ...] | None:
    if proto.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in proto.dim)


def _array(proto: tensor_pb2.TensorProto) -> Array:
    """A tensor in the file. Of fewer values than its shape has, the last one is repeated. Raises: ModelFailed."""
    name = _type_name(proto.dtype)
    dtype = NUMPY_TYPES.get(name)
    if dtype is None:
        raise ModelFailed(f"{FILE} has a default value of type {name}, which is not supported")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    try:
        if proto.tensor_content:
            return np.frombuffer(proto.tensor_content, dtype).reshape(shape).copy()
        values = _values(getattr(proto, _VALUES.get(name, "int_val")), dtype)
        missing = math.prod(shape) - len(values)
        if missing > 0:
            last = values[-1:] if len(values) else _values([b""] if dtype.kind == "O" else [0] * 2, dtype)[:1]
            values = np.concatenate([values, np.repeat(last, missing)])
        return values.reshape(shape)
    except ValueError as error:
        raise ModelFailed(f"{FILE} has a default value that is none: {error}") from error


def _values(listed: Sequence[Any], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "c":
        return np.array(listed, np.float32 if dtype.itemsize == 8 else np.float64).view(dtype)
    if (dtype.kind == "f" and dtype.itemsize == 2) or dtype.kind == "V":
        return np.array(listed, np.uint16).view(dtype)
    return np.array(listed, dtype)


def _tensors(info: Any) -> Iterator[str]:
    """The names of the tensors that one output is made of."""
    match info.WhichOneof("encoding"):
        case "coo_sparse":
            sparse = info.coo_sparse
            yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
        case "composite_tensor":
            for component in info.composite_tensor.components:
                yield from _tensors(component)
        case _:
            yield info.name


def _needed(tensors: Iterable[str], nodes: Mapping[str, Any]) -> Iterator[Any]:
    """The nodes of a graph that these tensors depend on, by data or by order."""
    waiting, seen = [_node(tensor) for tensor in tensors], set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield nodes[name]
        waiting.extend(_node(tensor) for tensor in nodes[name].input)


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _functions(node: Any) -> Iterator[str]:
    """What a node calls: branches, bodies, callees."""
    for value in node.attr.values():
        match value.WhichOneof("value"):
            case "func":
                yield value.func.name
            case "list":
                yield from (function.name for function in value.list.func)
