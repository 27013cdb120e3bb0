"""All items through the frozen base, but for those that an earlier job had there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import Manifest
from training.base_graph import BaseGraph
from training.data.contents import Contents
from training.features import BATCH, RAW, FeatureCache, inputs_of, raw_copy, raw_width, writer
from training.known_features import CHUNK, Floats, KnownFeatures, Segment

COMPARED = 8
"""Items of what is known that are computed all the same: they must come out as they did, and tell what one costs."""
TOLERANCE = 1e-3
"""Of the spread of a cut's numbers, by which they may differ: sums are made in another order in another batch."""


@dataclass(slots=True)
class FeaturePass:
    """One pass. After it, ``reused`` says how many items were known, ``seconds_an_item`` what one took."""

    contents: Contents
    base: BaseGraph
    manifest: Manifest
    directory: Path
    known: KnownFeatures | None = None
    reused: int = 0
    seconds_an_item: float = 0.0

    def run(self) -> Iterator[int]:
        """Fill the cache in ``directory``; yields how many items are done after each step."""
        total = len(self.contents)
        widths = {RAW: raw_width(self.manifest.input), **self.manifest.features}
        files = {name: self._cache.file(name) for name in widths}
        # Layers may be called anything; the arrays go by the names of their files.
        arrays = {files[name].stem: writer(files[name], total, width) for name, width in widths.items()}
        open_ = np.ones(total, dtype=bool)
        if self.known is not None:
            for segment in self.known.find(self.manifest, self.contents.digests):
                if self._taken(segment, arrays):
                    open_[segment.items] = False
        missing = np.flatnonzero(open_)
        self.reused = total - len(missing)
        if self.reused:
            yield self.reused
        clock = [time.monotonic()]
        for start in range(0, len(missing), BATCH):
            items = missing[start : start + BATCH]
            for name, found in self._computed(items).items():
                arrays[name][items] = found
            clock.append(time.monotonic())
            yield self.reused + start + len(items)
        for array in arrays.values():
            array.flush()
        if len(missing):
            self.seconds_an_item = _pace(clock, len(missing))
            self._remember(arrays, missing)

    def _computed(self, items: NDArray[np.int64]) -> Mapping[str, Floats]:
        spec = self.manifest.input
        inputs = inputs_of(self.contents, items.tolist(), spec, self.base.pixels)
        found = self.base.features(inputs)
        cuts = {self._cache.file(name).stem: found[name] for name in self.manifest.features}
        return {RAW: raw_copy(inputs, spec), **cuts}

    @property
    def _cache(self) -> FeatureCache:
        return FeatureCache(self.directory, list(self.manifest.features))

    def _taken(self, segment: Segment, arrays: Mapping[str, Floats]) -> bool:
        """Whether what a segment knows is what the base says now, and is in the arrays."""
        try:
            few = slice(0, COMPARED)
            fresh = self._computed(segment.items[few])
            began = time.monotonic()
            self._computed(segment.items[few])
            self.seconds_an_item = (time.monotonic() - began) / len(segment.items[few])
            if any(not _agree(segment.read(name, few), fresh[name]) for name in arrays):
                segment.remove()
                return False
            for start in range(0, len(segment.items), CHUNK):
                chosen = slice(start, start + CHUNK)
                for name, array in arrays.items():
                    array[segment.items[chosen]] = segment.read(name, chosen)
        except (OSError, ValueError, IndexError):
            segment.remove()
            return False
        segment.touch()
        return True

    def _remember(self, arrays: Mapping[str, Floats], missing: NDArray[np.int64]) -> None:
        if self.known is None:
            return
        digests = self.contents.digests
        first = np.array(list({digests[item]: int(item) for item in reversed(missing)}.values()), dtype=np.int64)
        self.known.add(self.manifest, [digests[item] for item in first], arrays, first)


def _agree(kept: Floats, fresh: Floats) -> bool:
    spread = float(np.ptp(fresh)) or 1.0
    return kept.shape == fresh.shape and bool(np.abs(kept - fresh).max(initial=0.0) <= TOLERANCE * spread)


def _pace(clock: Sequence[float], items: int) -> float:
    """Seconds an item, given when each batch was done; the first, which compiles, counts where it is the only one."""
    first = min(BATCH, items)
    if items > first:
        return (clock[-1] - clock[1]) / (items - first)
    return (clock[-1] - clock[0]) / max(1, items)
