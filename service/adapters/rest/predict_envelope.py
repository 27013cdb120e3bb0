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


@dataclass(slots=True)
class Envelope:
    """What was found. ``pieces`` are the texts of values by name, one a row for named rows, else one; a bare value has
    the name None.
    """

    signature_name: str = ""
    in_rows: bool = False
    named_rows: bool = False
    pieces: dict[str | None, list[bytes]] = field(default_factory=dict)


def split(body: bytes) -> Envelope | None:
    """Take a body apart, or None when it has not one of the plain forms, whatever else it may be."""
    if b"\\" in body:
        return None
    parts = _between_quotes(body)
    if len(parts) < 3 or len(parts) % 2 == 0 or len(parts) > _MOST_PARTS or parts[0].strip(_BLANKS) != b"{":
        return None
    envelope, at = Envelope(), 1
    while True:
        key = parts[at]
        if key == b"signature_name" and not envelope.signature_name:
            end = _signature_name(envelope, parts, at)
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


def _between_quotes(body: bytes) -> list[bytes]:
    """What ``split`` gives, which looks at each byte of a long part by itself, and takes its time for that."""
    parts: list[bytes] = []
    at = 0
    while len(parts) < _MOST_PARTS and (quote := body.find(b'"', at)) >= 0:
        parts.append(body[at:quote])
        at = quote + 1
    return [*parts, body[at:]]


def _signature_name(envelope: Envelope, parts: list[bytes], at: int) -> tuple[int, bool] | None:
    """Read ``"signature_name": "name"``: where the next key is, and whether there is one."""
    if at + 3 >= len(parts) or parts[at + 1].strip(_BLANKS) != b":":
        return None
    name, after = _name(parts[at + 2]), parts[at + 3].strip(_BLANKS)
    if not name or after not in (b",", b"}"):
        return None
    envelope.signature_name = name
    return at + 4, after == b","


def _values(envelope: Envelope, parts: list[bytes], at: int) -> tuple[int, bool] | None:
    """Read what follows ``"instances"`` or ``"inputs"``: where the next key is, and whether there is one."""
    opening = parts[at].translate(None, _BLANKS) if len(parts[at]) < _TAIL else b""
    if opening not in (b":{", b":[{"):
        value, closing = _value(parts[at])
        envelope.pieces[None] = [value]
        return (at + 1, closing == b",") if value and closing in (b",", b"}") else None
    envelope.named_rows = opening == b":[{"
    if envelope.named_rows is not envelope.in_rows:
        return None
    last, not_last, next_row = (b"}]}", b"}],", b"},{") if envelope.in_rows else (b"}}", b"},", None)
    rows = 1
    while at + 2 < len(parts):
        name = _name(parts[at + 1])
        value, closing = _value(parts[at + 2])
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


def _value(part: bytes) -> tuple[bytes, bytes]:
    """The text of a value, and the frame behind it without its blanks; both empty when there is no value."""
    # A value of numbers has no brace in it, and what closes an object begins with one.
    brace = part.find(b"}", max(0, len(part) - _TAIL))
    tail = part[brace:] if brace >= 0 else part[-_TAIL:].rstrip(_BLANKS)[-1:]
    end = brace if brace >= 0 else part.rfind(tail) if tail == b"," else 0
    start = part.find(b":", 0, _TAIL)
    if start < 0 or end <= start or part[:start].strip(_BLANKS):
        return b"", b""
    return part[start + 1 : end], tail.translate(None, _BLANKS)
