"""What versions a listing of a store shows, and which of them a directory of limited size ought to hold: pure rules.

<model>/<version>/...                  as in a directory; with a manifest it is there once that is
<model>/.publishing/<version>          the claim of whoever is uploading this version; gone when it is there
<model>/.published/<job>               the version that a job has decided on, and its manifest
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from service.adapters.object_store.bucket import Stored
from service.domain.artifact import EXTRA, HIDDEN_PREFIX, MANIFEST, SAVED_MODEL, TFLITE_MODEL, version_number
from service.domain.versions import VersionId

PUBLISHING = f"{HIDDEN_PREFIX}publishing"
PUBLISHED = f"{HIDDEN_PREFIX}published"
_LONGEST_NAME = 255
"""In bytes; what file systems have room for."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version's objects, as one listing tells of them."""

    id: VersionId
    place: str
    """``<model>/<folder>``; the folder is the number, perhaps with zeros before it."""
    files: Mapping[str, Stored]
    """By path inside the version."""
    stamp: str = field(init=False)
    """Changes when any of its objects does."""
    size: int = field(init=False)
    """In bytes."""

    def __post_init__(self) -> None:
        told = "\n".join(f"{path}\0{one.size}\0{one.tag}" for path, one in sorted(self.files.items()))
        object.__setattr__(self, "stamp", hashlib.sha256(told.encode(errors="replace")).hexdigest()[:32])
        object.__setattr__(self, "size", sum(one.size for one in self.files.values()))

    @property
    def committed(self) -> bool:
        """Whether its manifest is there: it was written last."""
        return str(MANIFEST) in self.files

    @property
    def plain(self) -> bool:
        """Whether it is a version that nobody says anything of, and that may still be being copied."""
        ours = any(path.startswith(f"{EXTRA}/") for path in self.files)
        return not ours and any(str(model) in self.files for model in (SAVED_MODEL, TFLITE_MODEL))

    @property
    def age(self) -> float:
        """When its newest object was made, in seconds since the epoch."""
        return max(one.changed.timestamp() for one in self.files.values())


def versions_among(objects: Mapping[str, Stored]) -> Mapping[str, StoredVersion]:
    """Every version of which there is any object, by place. Hidden names, and what is no file, are nobody's."""
    files: dict[tuple[str, str], dict[str, Stored]] = {}
    for key, stored in objects.items():
        model, _, rest = key.partition("/")
        folder, _, path = rest.partition("/")
        if model and not model.startswith(HIDDEN_PREFIX) and path and version_number(folder) is not None:
            files.setdefault((model, folder), {})[path] = stored
    found = {}
    for (model, folder), inside in files.items():
        number = version_number(folder)
        assert number is not None
        # An empty object whose key ends in a slash is how some tools draw a folder.
        real = {path: one for path, one in inside.items() if not (path.endswith("/") and one.size == 0)}
        if real:
            found[f"{model}/{folder}"] = StoredVersion(VersionId(model, number), f"{model}/{folder}", real)
    return found


def _youngest_first(version: StoredVersion) -> tuple[float, str, int]:
    return -version.age, version.id.model, -version.id.version


def claims_among(objects: Iterable[str]) -> Collection[VersionId]:
    """Every version that somebody is, or was, uploading."""
    claims = []
    for key in objects:
        model, _, rest = key.partition("/")
        kind, _, folder = rest.partition("/")
        number = version_number(folder)
        if kind == PUBLISHING and number is not None:
            claims.append(VersionId(model, number))
    return claims


def unsafe_path(path: str) -> bool:
    """Whether a key's path, written below a directory, might lie elsewhere or nowhere."""
    parts = path.split("/")
    return "\0" in path or any(part in ("", ".", "..") or len(part.encode()) > _LONGEST_NAME for part in parts)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a directory ought to hold, in the order in which it is needed."""

    needed: Sequence[StoredVersion]
    """Whatever room there is."""
    besides: Sequence[StoredVersion]
    """As long as there is room."""

    @property
    def everything(self) -> Sequence[StoredVersion]:
        """Both."""
        return [*self.needed, *self.besides]


def worth_holding(
    versions: Collection[StoredVersion],
    in_use: Collection[VersionId],
    bases: Mapping[VersionId, VersionId],
    keep: int,
    most_bytes: int,
) -> Holding:
    """What a directory of so many bytes ought to hold of these.

    Needed are the ``keep`` newest versions of each model, what is ``in_use``, and the ``bases`` of these, where they
    are known; besides, of the others, the youngest that fit.
    """
    by_id = {one.id: one for one in versions}
    newest: dict[str, int] = {}
    rank: dict[VersionId, int] = {}
    for id in sorted(by_id, reverse=True):
        rank[id] = newest[id.model] = newest.get(id.model, -1) + 1
    needed = sorted((id for id in by_id if rank[id] < keep), key=lambda id: (rank[id], id))
    needed += sorted(id for id in in_use if id in by_id)
    needed += [bases[id] for id in needed if bases.get(id) in by_id]
    held = dict.fromkeys(needed)
    room = most_bytes - sum(by_id[id].size for id in held)
    besides = []
    for one in sorted((one for one in by_id.values() if one.id not in held), key=_youngest_first):
        room -= one.size
        if room < 0:
            break
        besides.append(one)
    return Holding([by_id[id] for id in held], besides)
