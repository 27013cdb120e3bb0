"""Small labelled data in every format, for tests that need some."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png(pixels: NDArray[Any]) -> bytes:
    """Pixels [height, width] or [height, width, 3] as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def some_png(number: int, size: int = 8) -> bytes:
    """A picture like no other number's."""
    return png(np.random.default_rng(number).integers(0, 256, size=(size, size)))


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8") -> bytes:
    """An npy file whose header claims this shape, whatever the data is."""
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def write_zip(path: Path, entries: Iterable[tuple[str, bytes]]) -> Path:
    """An archive with these entries in this order."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    """A table with these rows, the first being the header."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def write_jsonl(path: Path, records: Iterable[object]) -> Path:
    """A file with one object a line; a text is written as it is."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_parquet(path: Path, columns: Mapping[str, Any]) -> Path:
    """A table with these columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), path)
    return path


def write_tfrecord(path: Path, examples: Iterable[Mapping[str, Any]]) -> Path:
    """Records as TensorFlow writes them."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = {name: _feature(value) for name, value in example.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return path


def _feature(value: Any) -> Any:
    import tensorflow as tf

    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], (bytes, str)):
        encoded = [one.encode() if isinstance(one, str) else one for one in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def two_classes(each: int = 3) -> list[tuple[str, bytes]]:
    """Entries of a sound archive."""
    return [(f"{label}/{n}.png", some_png(100 * k + n)) for k, label in enumerate(("cat", "dog")) for n in range(each)]
