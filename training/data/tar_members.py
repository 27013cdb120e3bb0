"""What lies where in a tar archive: headers read strictly, forward only, and never more than a little at a time.

Python's own reader believes a header that says its long name is a gigabyte, and follows links when it unpacks. This one
reads plain files and folders; of all else it says what it is. What two readers might understand differently (a wrong
checksum, something behind the end) is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from gzip import GzipFile
from typing import IO

BLOCK = 512
MAGIC_AT, MAGIC = 257, b"ustar"
LONGEST_EXTENSION = 64 * 1024
"""Bytes of a long name, or of extended headers, of one entry."""
PIECE = 2**20
FILE, FOLDER = "file", "folder"
KINDS = {
    b"0": FILE, b"\0": FILE, b"7": FILE, b"5": FOLDER, b"1": "hard link", b"2": "symbolic link",
    b"3": "character device", b"4": "block device", b"6": "pipe", b"S": "sparse file",
}  # fmt: skip


class BadTar(ValueError):
    """It is no tar archive, or none that is whole; the text says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry. ``offset`` is where its bytes begin in the archive, inflated if it was compressed."""

    name: str
    kind: str
    """``file``, ``folder``, or what else it is, in words."""
    offset: int
    size: int


class Forward:
    """A stream that is only ever read on, and not beyond a limit."""

    def __init__(self, stream: IO[bytes] | GzipFile, most_bytes: int) -> None:
        self._stream, self._most_bytes = stream, most_bytes
        self.position = 0

    def read(self, count: int) -> bytes:
        """Exactly so many bytes, or none at the end of the stream. Raises: BadTar, it ends within, or is too long."""
        data = self._counted(self._stream.read(count))
        if data and len(data) < count:
            raise BadTar("it was cut off: it ends within an entry")
        return data

    def read_some(self) -> bytes:
        """A piece of what there is, or none at the end of the stream. Raises: BadTar, it is too long."""
        return self._counted(self._stream.read(PIECE))

    def move_to(self, position: int) -> None:
        """Read on to a place that lies ahead, or here."""
        while self.position < position:
            if not self.read(min(PIECE, position - self.position)):
                raise BadTar("it was cut off: it ends within an entry")

    def _counted(self, data: bytes) -> bytes:
        self.position += len(data)
        if self.position > self._most_bytes:
            raise BadTar(f"unpacked it holds more than {self._most_bytes} bytes")
        return data


def members(forward: Forward) -> Iterator[Member]:
    """Every entry in order; whoever iterates may read an entry's bytes before going on.

    Raises:
        BadTar: while iterating.
    """
    name: str | None = None
    extended: Mapping[str, str] = {}
    while header := forward.read(BLOCK):
        if not any(header):
            _check_end(forward)
            return
        kind, size = _checked(header)
        if kind in (b"L", b"K", b"x", b"g"):
            text = _extension(forward, size)
            if kind == b"L":
                name = _text(text.rstrip(b"\0"))
            elif kind == b"x":
                extended = _records(text)
            continue
        size = _size(extended, size)
        called = extended.get("path", name or _name(header))
        what = KINDS.get(kind, f"entry of type {kind!r}")
        if any(key.startswith("GNU.sparse") for key in extended):
            what = "sparse file"
        what = FOLDER if what == FILE and called.endswith("/") else what
        member = Member(called, what, forward.position, 0 if what == FOLDER else size)
        yield member
        forward.move_to(member.offset + -(-size // BLOCK) * BLOCK)
        name, extended = None, {}
    raise BadTar("it was cut off: its end mark is missing")


def _check_end(forward: Forward) -> None:
    """Behind the end mark there is nothing but zeros; a compressed archive's checksum is held against it on the way."""
    if any(forward.read(BLOCK) or b"\1"):
        raise BadTar("its end mark is broken")
    while piece := forward.read_some():
        if piece.strip(b"\0"):
            raise BadTar("there is something behind its end")


def _checked(header: bytes) -> tuple[bytes, int]:
    """The type and the size that a header gives."""
    if not header[MAGIC_AT:].startswith(MAGIC):
        raise BadTar("a header has not the mark of a tar archive")
    told = _number(header[148:156])
    plain = header[:148] + b" " * 8 + header[156:]
    if told not in (sum(plain), sum(byte - 256 if byte > 127 else byte for byte in plain)):
        raise BadTar("the checksum of a header is wrong")
    return header[156:157], _number(header[124:136])


def _number(text: bytes) -> int:
    if text[0] & 0x80:
        value = int.from_bytes(bytes([text[0] & 0x7F]) + text[1:], "big")
        if text[0] & 0x40 or value >= 2**63:
            raise BadTar("a header holds a number that cannot be")
        return value
    digits = text.strip(b" \0")
    if not all(0x30 <= digit <= 0x37 for digit in digits):
        raise BadTar("a header holds something in place of a number")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[MAGIC_AT:].startswith(b"ustar\0") else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _extension(forward: Forward, size: int) -> bytes:
    if size > LONGEST_EXTENSION:
        raise BadTar(f"an entry has {size} bytes of name and extended header; at most {LONGEST_EXTENSION} are read")
    start = forward.position
    text = forward.read(size) if size else b""
    if len(text) < size:
        raise BadTar("it was cut off: it ends within an entry")
    forward.move_to(start + -(-size // BLOCK) * BLOCK)
    return text


def _records(text: bytes) -> dict[str, str]:
    """The extended headers of POSIX: ``<length> <key>=<value>`` and a newline, the length counting all of that."""
    found = {}
    while text:
        digits, space, _ = text.partition(b" ")
        length = int(digits) if space and digits.isdigit() and len(digits) < 7 else 0
        record = text[len(digits) + 1 : length - 1]
        key, equals, value = record.partition(b"=")
        if length <= len(digits) or not equals or text[length - 1 : length] != b"\n":
            raise BadTar("an extended header cannot be read")
        found[key.decode("utf-8", "replace")] = _text(value)
        text = text[length:]
    return found


def _size(extended: Mapping[str, str], size: int) -> int:
    told = extended.get("size", "")
    if "size" not in extended:
        return size
    if not (told.isdecimal() and len(told) < 19):
        raise BadTar("an extended header gives a size that is none")
    return int(told)
