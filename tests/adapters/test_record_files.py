"""TFRecord files as TensorFlow writes them, read without it, and every way to be damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from service.adapters.rpc.record_files import BrokenRecords, crc32c, records

SIZES = (0, 1, 7, 63, 64, 65, 127, 4096, 65535, 65536, 65537, 1_000_003)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """A file with a record of each size."""
    data = [np.random.default_rng(size).bytes(size) for size in SIZES]
    file = tmp_path / "records"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in data:
            writer.write(record)
    return file, data


def test_what_tensorflow_wrote_is_read(written: tuple[Path, list[bytes]]) -> None:
    file, data = written
    assert list(records(file)) == data


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
    ids=["nothing", "digits", "zeros", "ones"],
)
def test_the_checksum_is_the_one_that_everybody_means(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def test_a_file_cut_anywhere_but_between_records_is_broken(written: tuple[Path, list[bytes]]) -> None:
    file, data = written
    whole = file.read_bytes()
    ends = {sum(len(one) + 16 for one in data[:count]) for count in range(len(data))}
    for cut in {
        *random.Random(3).sample(range(len(whole)), 40),
        *(end + 1 for end in ends),
        *(end + 13 for end in ends),
    }:
        if cut not in ends:
            file.write_bytes(whole[:cut])
            with pytest.raises(BrokenRecords):
                list(records(file))


@pytest.mark.parametrize("place", [0, 7, 8, 11, 12, 20, 30], ids=lambda place: f"byte_{place}")
def test_a_changed_byte_is_noticed(tmp_path: Path, place: int) -> None:
    file = tmp_path / "records"
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(b"some fifteen by")
    damaged = bytearray(file.read_bytes())
    damaged[place] ^= 4
    file.write_bytes(damaged)
    with pytest.raises(BrokenRecords):
        list(records(file))
