"""One request to many heads of a base: the features are computed once, and every head answers from them.

The request waits and runs as any other request to the base does, in whatever company; on the lane's thread each head
takes the rows' features in turn. It is one request, to the base: one head that breaks fails it and is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from service.application.batching import Batcher
from service.application.online import Endpoint, Online
from service.application.registry import Registry
from service.domain.artifact import version_number
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import Array, Signature, Tensors
from service.domain.versions import ModelRef, VersionId

MOST_HEADS = 1000


def head_reference(text: str) -> ModelRef:
    """The head a caller names: ``birds`` for the newest version, ``birds@3`` for the third. Raises: InvalidInput."""
    if not text:
        raise InvalidInput("a head's name is empty")
    name, _, number = text.rpartition("@")
    version = version_number(number) if name else None
    return ModelRef(text) if version is None else ModelRef(name, version)


@dataclass(frozen=True, slots=True)
class ManyCall:
    """One such request under way. It holds the base and every head until the answer is written."""

    version: VersionId
    """Of the base."""
    versions: Mapping[str, VersionId]
    """Of the heads, by the names they were asked for."""
    signature: Signature
    """What to decode the request by."""
    _together: Sequence[tuple[Endpoint, Sequence[str]]]
    """One for each graph that has a copy of the base in memory, and the heads on it: as a rule there is one."""

    async def run(self, inputs: Tensors, timeout_s: float | None = None) -> dict[str, dict[str, Array]]:
        """What each head answers, by the name it was asked for.

        Raises:
            InvalidInput, Overloaded, ModelFailed, DeadlineExceeded, QueueTimedOut: as of any request.
        """
        runs = [endpoint.call(inputs, timeout_s, self.version.model) for endpoint, _ in self._together]
        answers: dict[str, dict[str, Array]] = {name: {} for name in self.versions}
        for (_, names), outputs in zip(self._together, await asyncio.gather(*runs), strict=True):
            for key, array in outputs.items():
                at, _, alias = key.partition("/")
                answers[names[int(at)]][alias] = array
        return answers


@contextmanager
def held(models: Registry, base: ModelRef, heads: Mapping[str, ModelRef], signature: str) -> Iterator[ManyCall]:
    """Hold a base and some of its heads, named as the caller likes, for one request on one of their signatures.

    Raises:
        ModelNotFound, UnknownLabel, NotReady, SignatureNotFound
        InvalidInput: no heads or too many, or one that is not grown on this version of the base.
    """
    if not 0 < len(heads) <= MOST_HEADS:
        raise InvalidInput(f"one request is to at least one head and at most {MOST_HEADS}, not to {len(heads)}")
    with ExitStack() as stack:
        below = stack.enter_context(models.find(base).pinned())
        online = {name: stack.enter_context(models.find(ref).pinned()) for name, ref in heads.items()}
        groups: dict[Batcher, dict[str, Endpoint]] = {}
        for name, head in online.items():
            _check_base(name, head, below)
            endpoint = head.endpoint(signature)
            groups.setdefault(endpoint.batcher, {})[name] = endpoint
        together = [(_joined(group), tuple(group)) for group in groups.values()]
        (first, *_), versions = together, {name: head.id for name, head in online.items()}
        yield ManyCall(below.id, versions, first[0].signature, together)


def _check_base(name: str, head: Online, base: Online) -> None:
    grown, below = head.listing.manifest, base.listing.manifest
    if grown is None or below is None or grown.base is None or grown.base.digest != below.digest:
        raise InvalidInput(f"{name} is not a head of {base.id}")


def _joined(heads: Mapping[str, Endpoint]) -> Endpoint:
    """One endpoint that answers for several on one run of a graph: its outputs are ``number/output``."""
    (first, *_) = heads.values()
    each = list(heads.items())
    outputs = {
        f"{at}/{alias}": spec for at, (_, head) in enumerate(each) for alias, spec in head.signature.outputs.items()
    }

    def finish(features: Tensors) -> dict[str, Array]:
        answers: dict[str, Array] = {}
        for at, (name, head) in enumerate(each):
            try:
                answers |= {f"{at}/{alias}": array for alias, array in head.finish(features).items()}
            except Exception as error:
                raise ModelFailed(f"head {name} failed: {error!r}") from error
        return answers

    return replace(first, signature=replace(first.signature, outputs=outputs), finish=finish)
