"""Items that come as keyed records, from JSON lines or from ``tf.Example``: the same keys mean the same in both.

An item's input stands under ``text``, ``image``, ``tokens`` or ``features``, or under the keys that are named; what is
to be learned under ``label``, ``labels``, ``value`` or ``values``, or again under the keys that are named.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from service.domain.learning import LearningTask
from training.data.class_folders import seen
from training.data.contents import Contents, number_digests, text_digest, token_digest
from training.data.gathering import Beside, Gathering
from training.data.pictures import Pictures
from training.data.rows import LARGEST_FLOAT, checked_tokens, filled_up
from training.data.sources import Images, Numbered
from training.data.target_reading import One

KINDS = {
    "text": InputKind.TEXT,
    "image": InputKind.IMAGE,
    "image/encoded": InputKind.IMAGE,
    "tokens": InputKind.TOKENS,
    "features": InputKind.VECTOR,
}
"""What stands under the usual keys."""
TARGET_KEYS: dict[LearningTask, tuple[str, ...]] = {
    LearningTask.BINARY: ("label", "image/class/text", "image/class/label"),
    LearningTask.MULTICLASS: ("label", "image/class/text", "image/class/label"),
    LearningTask.MULTILABEL: ("labels", "label"),
    LearningTask.REGRESSION: ("value", "values", "label"),
}
"""Where what is to be learned is looked for; the first that is there counts."""
MOST_NUMBERS = 1_000_000
"""Of one item."""


class Records:
    """Gathers the records of one file."""

    def __init__(self, gathering: Gathering, image_of: Callable[[Mapping[str, Any], str], bytes], noun: str) -> None:
        """``image_of`` gives the image under a key and raises ValueError for none; ``noun`` is what places count."""
        self._gathering, self._findings, self._image_of = gathering, gathering.findings, image_of
        self._numbers = Numbered(noun, array("q"))
        self.offsets, self.lengths = array("q"), array("q")
        """Where the kept records lie in their file."""
        self.kind: InputKind | None = None
        self.input_key = ""
        self._columns: tuple[str, ...] = ()
        self._value_names: tuple[str, ...] = ()
        self._shape: tuple[int, ...] = ()
        self._values, self._texts, self._pictures = array("f"), list[str](), Pictures()
        self._tokens: list[array[int]] = []

    def add(self, record: Mapping[str, Any], number: int, offset: int, length: int) -> None:
        """One record, at these bytes of the file."""
        gathering, findings, before = self._gathering, self._findings, self._findings.item_faults
        place = f"{self._numbers.noun} {number}"
        one = self._target(record, place)
        if one is not None:
            if not gathering.targets.wants(one):
                return
            gathering.targets.saw(one)
        else:
            findings.items += 1
        beside = self._beside(record, place)
        digest, hold = self._input(record, place)
        if one is None or beside is None or findings.item_faults != before:
            gathering.lose()
        elif gathering.useful:
            self._numbers.numbers.append(number)
            self.offsets.append(offset)
            self.lengths.append(length)
            hold()
            gathering.keep(one, digest, beside)

    def bad(self, code: str, message: str, number: int) -> None:
        """A record that cannot be read at all."""
        self._findings.items += 1
        self._findings.item_fault(code, message, f"{self._numbers.noun} {number}")
        self._gathering.lose()

    def contents(self, format: DatasetFormat, path: Path, images: Images) -> Contents | None:
        """All that were kept; None when the file cannot be used."""
        findings = self._findings
        if not findings.items and not findings.fault_count:
            findings.fault("empty_file", "there are no items in it")
        if not self._gathering.useful or self.kind is None:
            return None
        held: dict[str, Any] = {"columns": self._columns}
        if self.kind is InputKind.IMAGE:
            held |= {"images": images, "pictures": self._pictures}
        elif self.kind is InputKind.TEXT:
            held["texts"] = tuple(self._texts)
        elif self.kind is InputKind.TOKENS:
            held["tokens"] = filled_up(self._tokens, findings)
            if held["tokens"] is None:
                return None
        else:
            whole = np.frombuffer(self._values, dtype=np.float32).reshape(-1, *self._shape)
            held |= {"numbers": whole, "digests": number_digests(whole)}
        return self._gathering.contents(format, self.kind, path, self._numbers, **held)

    # --- What is to be learned ---------------------------------------------------------------------------------------

    def _target(self, record: Mapping[str, Any], place: str) -> One | None:
        reading, findings = self._gathering.reading, self._findings
        keys = reading.label or tuple(key for key in TARGET_KEYS[reading.task] if key in record)[:1]
        missing = [key for key in keys if record.get(key) is None]
        if not keys or missing:
            wanted = missing[0] if missing else TARGET_KEYS[reading.task][0]
            there = ", ".join(sorted(record)[:10]) or "none"
            message = f"what is to be learned is missing: there is no {wanted!r}; the keys are {there}"
            findings.item_fault("missing_label", message, place)
            return None
        if reading.task is LearningTask.REGRESSION:
            return self._value(record, keys, place)
        if len(keys) > 1:
            return self._gathering.targets.from_cells([_spelled(record[key]) for key in keys], place)
        value, where = record[keys[0]], f"{place}, key {keys[0]}"
        if reading.task is LearningTask.MULTILABEL:
            if isinstance(value, list) and all(_is_label(part) for part in value):
                return self._gathering.targets.from_labels([_spelled(part).strip() for part in value], where)
            if isinstance(value, str):
                return self._gathering.targets.from_cells([value], place)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if not _is_label(value):
            hint = ": did you mean task multilabel?" if isinstance(value, list) else ""
            findings.item_fault("bad_label", f"a label is one text or whole number, not {_short(value)}{hint}", where)
            return None
        return self._gathering.targets.from_class(_spelled(value), where)

    def _value(self, record: Mapping[str, Any], keys: Sequence[str], place: str) -> One | None:
        cells = [part for key in keys for part in (record[key] if isinstance(record[key], list) else [record[key]])]
        if any(isinstance(cell, (list, dict)) for cell in cells):
            self._findings.item_fault("label_not_a_number", "it holds more than numbers", f"{place}, key {keys[0]}")
            return None
        names = tuple(keys) if len(keys) == len(cells) else tuple(f"{keys[0]}{at}" for at in range(len(cells)))
        if not self._value_names:
            self._value_names = names
            self._gathering.targets.names = names
        if names != self._value_names:
            message = f"this item has {len(names)} numbers to be learned, the first has {len(self._value_names)}"
            self._findings.item_fault("label_width", message, f"{place}, key {keys[0]}")
            return None
        return self._gathering.targets.from_cells([_spelled(cell) for cell in cells], place)

    def _beside(self, record: Mapping[str, Any], place: str) -> Beside | None:
        given = {}
        for role, key in self._gathering.roles.items():
            value = record.get(key)
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            given[role] = "" if value is None else _spelled(value)
        return self._gathering.beside(given, place)

    # --- The input ---------------------------------------------------------------------------------------------------

    def _input(self, record: Mapping[str, Any], place: str) -> tuple[str | None, Callable[[], None]]:
        """The item's digest, None for numbers; and what holds its input once it is known to be sound."""
        kind, keys = self._kind(record)
        nothing: tuple[None, Callable[[], None]] = (None, lambda: None)
        if kind is None:
            there = ", ".join(sorted(record)[:10])
            message = f"there is no input: give text, image, tokens or features, or name the keys; there are {there}"
            self._findings.item_fault("missing_input", message, place)
            return nothing
        if self.kind is None:
            self.kind, self.input_key, self._findings.kind = kind, keys[0], kind
        if kind is not self.kind:
            message = f"this item is of kind {kind}, and the first is of kind {self.kind}"
            self._findings.item_fault("mixed_kinds", message, place)
            return nothing
        value, where = record.get(keys[0]), f"{place}, key {keys[0]}"
        if kind is InputKind.TEXT:
            return self._text(value, where)
        if kind is InputKind.IMAGE:
            return self._image(record, keys[0], where)
        if kind is InputKind.TOKENS:
            return self._token_numbers(value, where)
        return self._vector({key: record.get(key) for key in keys}, where, whole=len(keys) == 1)

    def _kind(self, record: Mapping[str, Any]) -> tuple[InputKind | None, tuple[str, ...]]:
        reading = self._gathering.reading
        if reading.features:
            first = record.get(reading.features[0])
            guessed = InputKind.TEXT if isinstance(first, str) else InputKind.VECTOR
            guessed = InputKind.IMAGE if isinstance(first, bytes) else guessed
            kind = KINDS.get(reading.features[0], guessed) if len(reading.features) == 1 else InputKind.VECTOR
            return kind, reading.features
        for key, kind in KINDS.items():
            if key in record:
                return kind, (key,)
        taken = {*self._gathering.targets.names, *self._gathering.roles.values(), *TARGET_KEYS[reading.task]}
        named = tuple(sorted(key for key, value in record.items() if key not in taken and _is_number(value)))
        return (InputKind.VECTOR, named) if named else (None, ())

    def _text(self, value: Any, place: str) -> tuple[str | None, Callable[[], None]]:
        if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
            self._findings.item_fault("not_a_text", f"this is no text: {_short(value)}", place)
            return None, lambda: None
        if not value.strip():
            self._findings.item_fault("empty_text", "the text is empty", place)
        self._findings.shape = ()
        return text_digest(value), lambda: self._texts.append(value)

    def _image(self, record: Mapping[str, Any], key: str, place: str) -> tuple[str | None, Callable[[], None]]:
        data = self._findings.attempt_item(
            lambda: self._image_of(record, key), "unreadable_image", "there is no image here", place
        )
        picture = None if data is None else seen(data, place, self._findings)
        if data is None or picture is None:
            return None, lambda: None
        return hashlib.sha256(data).hexdigest(), lambda: self._pictures.add(picture)

    def _token_numbers(self, value: Any, place: str) -> tuple[str | None, Callable[[], None]]:
        if not isinstance(value, list) or not all(type(part) is int for part in value):
            self._findings.item_fault("not_a_token", f"tokens are a list of whole numbers, not {_short(value)}", place)
            return None, lambda: None
        tokens = checked_tokens(value, place, self._findings)
        return token_digest(tokens), lambda: self._tokens.append(tokens)

    def _vector(self, values: Mapping[str, Any], place: str, *, whole: bool) -> tuple[str | None, Callable[[], None]]:
        given = next(iter(values.values())) if whole else values
        nothing: tuple[None, Callable[[], None]] = (None, lambda: None)
        columns: tuple[str, ...] = ()
        if isinstance(given, Mapping):
            flat = {
                key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in given.items()
            }
            columns = self._columns if set(flat) == set(self._columns) else tuple(flat)
            given = [flat[key] for key in columns]
        given = given if isinstance(given, list) else [given]
        numbers = self._array(given, columns, place)
        if numbers is None:
            return nothing
        if not self._shape:
            self._shape, self._columns = numbers.shape, columns
            self._findings.shape, self._findings.columns = numbers.shape, columns
        if numbers.shape != self._shape or columns != self._columns:
            message = f"this item has the shape {list(numbers.shape)}, the first has {list(self._shape)}"
            if columns != self._columns:
                differing = sorted(set(columns) ^ set(self._columns))
                message = f"this item has not the same columns as the first: {', '.join(differing[:10])}"
            self._findings.item_fault("wrong_width", message, place)
        return None, lambda: self._values.frombytes(numbers.tobytes())

    def _array(self, given: list[Any], columns: Sequence[str], place: str) -> Any:
        """The numbers as float32; None, and a fault, where they are none."""

        def made() -> Any:
            if not given or not _only_numbers(given):
                odd = next(
                    (f"{name!r}: " for name, part in zip(columns, given, strict=False) if not _is_number(part)), ""
                )
                raise ValueError(f"{odd}it holds more than numbers, or none")
            exact = np.array(given, dtype=np.float64)
            if exact.size > MOST_NUMBERS:
                raise ValueError(f"{exact.size} numbers; at most {MOST_NUMBERS} are taken")
            return exact

        exact = self._findings.attempt_item(made, "not_a_number", "these are no numbers of one shape", place)
        if exact is None:
            return None
        odd = np.flatnonzero(~(np.abs(exact.reshape(-1)) <= LARGEST_FLOAT))
        if len(odd):
            name = columns[odd[0]] if columns else f"number {odd[0]}"
            self._findings.item_fault("not_finite", f"{name} is not finite, or too large for float32", place)
            return None
        return exact.astype(np.float32)


def _only_numbers(values: list[Any]) -> bool:
    return all(_only_numbers(value) if isinstance(value, list) else _is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == 1 and _is_number(value[0])
    return isinstance(value, (int, float))


def _is_label(value: Any) -> bool:
    return isinstance(value, (str, bool, int))


def _spelled(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
