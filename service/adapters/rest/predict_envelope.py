"""The outside of a predict request: which texts are its tensors' values, found without reading them.

JSON of numbers has its only strings in the names of things, so the quotes divide a body into names and what lies
between them. A request of the plain forms is taken apart there; of any other, this module says nothing. That the values
are sound JSON, each by itself, is for the caller to prove: here only the frame around them is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_BLANKS = b" \t\n\r"
_MOST_PARTS = 100_000
_TAIL = 64
"""How far from the end of a value the frame around it is looked for; nobody indents deeper."""
_NOTHING = memoryview(b"")


@dataclass(slots=True)
class Envelope:
    """What was found. ``pieces`` are the texts of values by name, one a row for named rows, else one; a bare value has
    the name None. They are views of the body, for a copy would take as long as all the rest here.
    """

    signature_name: str = ""
    heads: tuple[str, ...] = ()
    in_rows: bool = False
    named_rows: bool = False
    pieces: dict[str | None, list[memoryview]] = field(default_factory=dict)


class _Parts:
    """What stands between the quotes of a body, by where it begins and ends."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._ends: list[tuple[int, int]] = []
        at = 0
        # ``bytes.split`` looks at each byte of a long part by itself, and takes its time for that.
        while len(self._ends) < _MOST_PARTS and (quote := body.find(b'"', at)) >= 0:
            self._ends.append((at, quote))
            at = quote + 1
        self._ends.append((at, len(body)))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, part: int) -> tuple[int, int]:
        return self._ends[part]

    def text(self, part: int) -> bytes:
        """A part as it stands."""
        start, end = self._ends[part]
        return self.body[start:end]

    def frame(self, part: int) -> bytes:
        """A part without its blanks, where it is short enough to be frame alone; else nothing."""
        start, end = self._ends[part]
        return self.body[start:end].translate(None, _BLANKS) if end - start < _TAIL else b""

    def value(self, part: int) -> tuple[memoryview, bytes]:
        """The text of the value in a part, and the frame behind it without its blanks; both empty without a value."""
        body, (start, end) = self.body, self._ends[part]
        late = max(start, end - _TAIL)
        # A value of numbers has no brace in it, and what closes an object begins with one.
        stop = body.find(b"}", late, end)
        if stop < 0:
            tail = body[late:end].rstrip(_BLANKS)
            stop = late + len(tail) - 1 if tail.endswith(b",") else 0
        colon = body.find(b":", start, start + _TAIL)
        if colon < 0 or stop <= colon or body[start:colon].strip(_BLANKS):
            return _NOTHING, b""
        return memoryview(body)[colon + 1 : stop], body[stop:end].translate(None, _BLANKS)


def split(body: bytes) -> Envelope | None:
    """Take a body apart, or None when it has not one of the plain forms, whatever else it may be."""
    if b"\\" in body:
        return None
    parts = _Parts(body)
    if len(parts) < 3 or len(parts) % 2 == 0 or len(parts) > _MOST_PARTS or parts.frame(0) != b"{":
        return None
    envelope, at = Envelope(), 1
    while True:
        key = parts.text(at)
        if key == b"signature_name" and not envelope.signature_name:
            end = _signature_name(envelope, parts, at)
        elif key == b"heads" and not envelope.heads:
            end = _heads(envelope, parts, at)
        elif key in (b"instances", b"inputs") and not envelope.pieces:
            envelope.in_rows = key == b"instances"
            end = _values(envelope, parts, at + 1)
        else:
            return None
        if end is None:
            return None
        at, more = end
        if not more:
            return envelope if at == len(parts) and envelope.pieces else None
        if at >= len(parts):
            return None


def _signature_name(envelope: Envelope, parts: _Parts, at: int) -> tuple[int, bool] | None:
    """Read ``"signature_name": "name"``: where the next key is, and whether there is one."""
    if at + 3 >= len(parts) or parts.frame(at + 1) != b":":
        return None
    name, after = _name(parts.text(at + 2)), parts.frame(at + 3)
    if not name or after not in (b",", b"}"):
        return None
    envelope.signature_name = name
    return at + 4, after == b","


def _heads(envelope: Envelope, parts: _Parts, at: int) -> tuple[int, bool] | None:
    """Read ``"heads": ["name", ...]``: where the next key is, and whether there is one."""
    names: list[str] = []
    before = b":["
    while at + 3 < len(parts) and parts.frame(at + 1) == before:
        names.append(_name(parts.text(at + 2)))
        at, before = at + 2, b","
    closing = parts.frame(at + 1)
    if not names or not all(names) or closing not in (b"],", b"]}"):
        return None
    envelope.heads = tuple(names)
    return at + 2, closing == b"],"


def _values(envelope: Envelope, parts: _Parts, at: int) -> tuple[int, bool] | None:
    """Read what follows ``"instances"`` or ``"inputs"``: where the next key is, and whether there is one."""
    opening = parts.frame(at)
    if opening not in (b":{", b":[{"):
        value, closing = parts.value(at)
        envelope.pieces[None] = [value]
        return (at + 1, closing == b",") if value and closing in (b",", b"}") else None
    envelope.named_rows = opening == b":[{"
    if envelope.named_rows is not envelope.in_rows:
        return None
    last, not_last, next_row = (b"}]}", b"}],", b"},{") if envelope.in_rows else (b"}}", b"},", None)
    rows = 1
    while at + 2 < len(parts):
        name = _name(parts.text(at + 1))
        value, closing = parts.value(at + 2)
        if not name or not value:
            return None
        envelope.pieces.setdefault(name, []).append(value)
        at += 2
        if closing == b",":
            continue
        # Every row has every name, once: a name twice or a name too few shows in the count.
        if closing not in (last, not_last, next_row) or any(len(one) != rows for one in envelope.pieces.values()):
            return None
        if closing != next_row:
            return at + 1, closing == not_last
        rows += 1
    return None


def _name(raw: bytes) -> str:
    """A name as JSON may have it between quotes, empty when it is none."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        return ""
    return name if name.isprintable() else ""
