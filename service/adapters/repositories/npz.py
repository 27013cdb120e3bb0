"""Reading npz files, thousands of them: what heads hold is stored as it is, under headers that are all alike.

``numpy.load`` parses every header as Python source, which takes longer than everything else that loading a head does.
"""

from __future__ import annotations

import io
import struct
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np

from service.domain.tensors import Array

_LOCAL = struct.Struct("<26xHH")
"""Of what comes before a member's bytes only the lengths of its name and of what is added to it matter."""
_MAGIC = 8
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}


def read_npz(content: bytes) -> dict[str, Array]:
    """The arrays by name, each in memory of its own.

    Raises:
        ValueError: an array of objects, or not as long as it says.
        Exception: what else zipfile and numpy raise over files that are not what they should be.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(one.filename.removesuffix(".npy"), _bytes_of(one, archive, content)) for one in archive.infolist()]
    return {name: _array(data) for name, data in members}


def _bytes_of(member: zipfile.ZipInfo, archive: zipfile.ZipFile, content: bytes) -> memoryview:
    if member.compress_type != zipfile.ZIP_STORED:
        return memoryview(archive.read(member))
    name, more = _LOCAL.unpack_from(content, member.header_offset)
    begin = member.header_offset + 30 + name + more
    return memoryview(content)[begin : begin + member.file_size]


def _array(data: memoryview) -> Array:
    length = _LENGTHS[data[6]]
    begin = _MAGIC + length.size + length.unpack_from(data, _MAGIC)[0]
    dtype, shape, order = _header(bytes(data[:begin]))
    if len(data) - begin != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError("an array is not as long as its header says")
    # Where it lies in the file need not suit its type: a copy does, and lets go of the file.
    return np.frombuffer(data, dtype, offset=begin).reshape(shape, order=order).copy(order=order)


@lru_cache(1024)
def _header(head: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("objects are not read")
    return dtype, shape, "F" if fortran else "C"
