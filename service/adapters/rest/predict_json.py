"""A predict request in JSON: read as plain numbers where it is that, with care where it is not, to the same effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.adapters.rest import plain_numbers, tensor_json
from service.adapters.rest.plain_numbers import NumberRequest
from service.domain.errors import InvalidInput
from service.domain.tensors import Array, Signature

NumberReader = Callable[[bytes], NumberRequest | None]
"""Reads a body of nothing but numbers; None for any other."""

_WORTH_TRYING = 2048
"""Bytes from which a body of numbers is read faster as such."""


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A predict request whose JSON is sound and whose tensors wait for their signature."""

    signature_name: str
    heads: Sequence[str]
    """Whom it asks, by name, instead of the model itself; none, as a rule."""
    _body: bytes
    _numbers: NumberRequest | None = None
    _root: Mapping[str, Any] | None = None

    @property
    def weight(self) -> int:
        """How many bytes of text take as long to read as ``plain`` does; none where there is no use in trying it."""
        if self._numbers is None:
            return 0
        return self._numbers.weight if self._numbers.weight is not None else len(self._body)

    def plain(self, signature: Signature) -> tuple[dict[str, Array], bool] | None:
        """The tensors, and whether they came in rows; None when they do not plainly fit. Once."""
        decoded = self._numbers.decode(signature) if self._numbers is not None else None
        return (decoded, self._numbers.in_rows) if self._numbers is not None and decoded is not None else None

    def careful(self, signature: Signature, name: str) -> tuple[dict[str, Array], bool]:
        """The same, with a look at everything there is to it.

        Raises:
            InvalidInput: they are not there, or not of this signature.
            NotSupported: a column of a type that JSON has no word for.
        """
        root = tensor_json.parse(self._body) if self._root is None else self._root
        return tensor_json.decode(root, signature, name)

    def tensors(self, signature: Signature, name: str) -> tuple[dict[str, Array], bool]:
        """The tensors, one way or the other. Raises: as ``careful``."""
        plain = self.plain(signature)
        return plain if plain is not None else self.careful(signature, name)


def read(body: bytes, numbers_of: NumberReader = plain_numbers.read) -> PredictRequest:
    """Read a request as far as that goes without its signature; ``numbers_of`` is tried first.

    Raises:
        InvalidInput
    """
    numbers = numbers_of(body) if len(body) >= _WORTH_TRYING else None
    if numbers is not None:
        return PredictRequest(numbers.signature_name, unique(numbers.heads), body, _numbers=numbers)
    root = tensor_json.parse(body)
    return PredictRequest(tensor_json.signature_name(root), heads(root), body, _root=root)


def heads(root: Mapping[str, Any]) -> Sequence[str]:
    """The heads that a request is for. Raises: InvalidInput."""
    if "heads" not in root:
        return ()
    names = root["heads"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidInput(
            "'heads' must be a list of names, at least one, each a head's or a head's and a version's: name@3"
        )
    return unique(names)


def unique(names: Sequence[str]) -> Sequence[str]:
    """Names of which none is there twice. Raises: InvalidInput."""
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise InvalidInput(f"'heads' names {twice!r} twice")
    return names
