"""A repository in a directory: ``<root>/<model>/<version>/``, laid out as TF Serving expects.

A look examines the models that are known to have changed, those that had at the last look, and of all others as many,
in turn, as a few milliseconds of one core allow: a small repository whole every time, one of ten thousand within a
minute. What did not change is the same object at the next look, so that whoever compares need not look inside.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from service.adapters.repositories.changes import Changes
from service.adapters.repositories.listing import folders, versions_in
from service.adapters.repositories.reading import damage_of, read_golden_of, read_head_of
from service.application.ports import GoldenPair, Listing
from service.domain.heads import Head

log = logging.getLogger(__name__)

_IN_TURN_S = 0.005
"""Processor time a look may take for models that nothing was heard of. Waiting for a slow disk does not count."""


class DirectoryRepository:
    """Versions in local directories. One thread at a time calls ``scan``; the rest is thread-safe."""

    def __init__(self, root: Path | None, *, in_turn_s: float = _IN_TURN_S, told: bool = True) -> None:
        """Without a root there are only the models whose own directories are named. ``told``: let the system say what
        changes, where it can.
        """
        self._root, self._in_turn_s, self._told = root, in_turn_s, told
        self._found: Mapping[str, Sequence[Listing]] = {}
        self._said: set[str] = set()
        self._changes: Changes | None = None
        self._place: tuple[int, int] | None = None
        self._listed: tuple[int, int] = (0, 0)
        self._turns: OrderedDict[str, None] = OrderedDict()
        self._names: set[str] = set()
        self._unsteady: set[str] = set()

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        """Every model and version there is, as far as this look could see. What did not change since the last one is
        the same object, the whole answer too. Raises: OSError when the root cannot be listed.
        """
        if self._root is None:
            return self._found
        stale = self._stale(self._root)
        found = {name: self._examined(self._root, name) for name in stale}
        self._examine_in_turn(self._root, found)
        changed = {name for name, listings in found.items() if listings is not self._found.get(name, ())}
        self._unsteady = changed if self._found else set()
        gone = self._found.keys() - self._names
        if changed or gone:
            merged = {name: listings for name, listings in self._found.items() if name not in gone}
            merged.update({name: found[name] for name in changed})
            self._found = {name: listings for name, listings in merged.items() if listings}
        return self._found

    def list_versions(self, model: str, base_path: PurePath, before: Sequence[Listing]) -> Sequence[Listing]:
        """Every version in one base path; ``before`` itself, when nothing changed. Raises: OSError."""
        return versions_in(model, Path(base_path), before, self._say_once)

    def head(self, listing: Listing) -> Head:
        """Read ``head.npz``. Raises: ModelFailed."""
        return read_head_of(listing)

    def golden(self, listing: Listing) -> GoldenPair | None:
        """Read ``golden.npz``, if the version has one. Raises: ModelFailed."""
        return read_golden_of(listing)

    def damage(self, listing: Listing) -> str | None:
        """Hold every file against the manifest: None, or the first that differs."""
        return damage_of(listing)

    # --- What a look examines -----------------------------------------------------------------------------------------

    def _stale(self, root: Path) -> set[str]:
        """The models that have to be examined now. Raises: OSError."""
        status = root.stat()
        place = (status.st_dev, status.st_ino)
        if place != self._place or self._changes is None:
            # Another folder lies there now: what was heard of the old one means nothing.
            self._place, self._changes, self._listed = place, Changes(root, told=self._told), (0, 0)
            self._changes.watch("")
            self._names = set()
        heard = self._changes.heard()
        before = self._names
        # A folder's time is coarse: what changed once may change again without another.
        if self._listed != (status.st_mtime_ns, status.st_mtime_ns) or heard is None:
            self._listed = (self._listed[1], status.st_mtime_ns)
            self._names = set(folders(root))
        stale = self._names if heard is None else (self._names - before) | ((heard | self._unsteady) & self._names)
        for name in sorted(stale):
            self._changes.watch(name)
        self._turns.update(dict.fromkeys(sorted(self._names - before)))
        return set(stale)

    def _examine_in_turn(self, root: Path, found: dict[str, Sequence[Listing]]) -> None:
        end = time.thread_time() + self._in_turn_s
        for _ in range(len(self._turns)):
            if time.thread_time() >= end:
                break
            name, _ = self._turns.popitem(last=False)
            if name not in self._names:
                continue
            self._turns[name] = None
            if name not in found:
                found[name] = self._examined(root, name)

    def _examined(self, root: Path, name: str) -> Sequence[Listing]:
        before = self._found.get(name, ())
        try:
            return self.list_versions(name, root / name, before)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            # Not knowing what a model holds is no reason to take it away, nor to keep the others waiting.
            self._say_once(f"model {name} cannot be read, its versions stay as they are: {error}")
            return before

    def _say_once(self, warning: str) -> None:
        if warning not in self._said:
            self._said.add(warning)
            log.warning(warning)
