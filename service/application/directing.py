"""Operators' words on which version of a model answers whom: checked against what there is, and stored."""

from __future__ import annotations

from functools import partial

from service.application.directions import Directions
from service.application.ports import Clock, LiveModels
from service.domain.direction import Canary, Change, Direction, Split
from service.domain.direction_changes import held_at, labelled, on_trial, promoted, rolled_back, shadowed
from service.domain.errors import ModelNotFound
from service.domain.on_success import OnSuccess, Way, after_publication

AN_OPERATOR = "an operator"
"""Who says something where he does not say who he is."""
_LONGEST_NAME, _LONGEST_REASON = 100, 500


class Directing:
    """Changes directions."""

    def __init__(self, directions: Directions, models: LiveModels, clock: Clock) -> None:
        self.directions, self._models, self._clock = directions, models, clock

    async def promote(self, model: str, version: int, by: str, why: str = "", revision: int | None = None) -> Direction:
        """Let a version answer from now on; as soon as it can, where it has to be loaded first.

        Raises:
            ModelNotFound: the repository holds no such version.
            Conflict: the direction is not, or no longer, of this ``revision``.
            NotReady: the store does not answer.
        """
        self._check(model, version)
        change = self._said(f"promoted version {version}", by, why)
        return await self.directions.change(model, lambda before: promoted(before, version, change), revision)

    async def try_out(
        self, model: str, canary: Canary, by: str, why: str = "", revision: int | None = None
    ) -> Direction:
        """Give a version a share of the requests. Raises: as ``promote``; Conflict, there is nothing it could stand
        beside.
        """
        self._check(model, canary.version)
        change = self._said(f"gave version {canary.version} {canary.percent:g} % of the requests", by, why)
        return await self.directions.change(
            model, lambda before: on_trial(before, canary, self._answering(model), change), revision
        )

    async def hold(self, model: str, by: str, why: str = "") -> Direction:
        """Let what answers now go on answering whatever is published; nothing, where nothing does. Raises: NotReady."""
        answering = self._answering(model)
        if answering is None or self.directions.of(model).stable is not None:
            return self.directions.of(model)
        change = self._said(f"held version {answering}", by, why)
        return await self.directions.change(model, lambda before: held_at(before, answering, change), None)

    async def roll_back(self, model: str, by: str, why: str = "", revision: int | None = None) -> Direction:
        """Take the canary back, or go back to the version before. Raises: as ``promote``; Conflict, there is none."""
        change = self._said("rolled back", by, why)
        return await self.directions.change(model, lambda before: rolled_back(before, change), revision)

    async def label(
        self, model: str, label: str, split: Split, by: str, why: str = "", revision: int | None = None
    ) -> Direction:
        """Point a label at versions; at none, forget it. Raises: as ``promote``; InvalidInput, it cannot be."""
        self._check(model, *(share.version for share in split))
        told = ", ".join(f"{share.version}" for share in split)
        change = self._said(f"pointed label {label[:80]} at {told}" if split else f"forgot label {label[:80]}", by, why)
        return await self.directions.change(model, lambda before: labelled(before, label, split, change), revision)

    async def shadow(
        self, model: str, versions: tuple[int, ...], by: str, why: str = "", revision: int | None = None
    ) -> Direction:
        """Compare these versions, and no others. Raises: as ``promote``; InvalidInput, they cannot be."""
        self._check(model, *versions)
        told = ", ".join(map(str, versions)) or "none"
        change = self._said(f"compares versions {told}", by, why)
        return await self.directions.change(model, lambda before: shadowed(before, versions, change), revision)

    async def published(self, model: str, version: int, on_success: OnSuccess, by: str) -> Direction:
        """Do with a version that a job has published what was asked for. To do it again changes nothing.

        Raises:
            NotReady: the store does not answer.
        """
        match on_success.way:
            case Way.REGISTER:
                return self.directions.of(model)
            case Way.PROMOTE:
                change = self._said(f"promoted version {version}", by, "")
            case Way.CANARY:
                change = self._said(f"gave version {version} {on_success.percent:g} % of the requests", by, "")
        made = partial(after_publication, version=version, on_success=on_success, change=change)
        return await self.directions.change(model, made, None)

    def _answering(self, model: str) -> int | None:
        listing = self._models.live_listing(model)
        return listing.id.version if listing is not None else None

    def _check(self, model: str, *versions: int) -> None:
        """Raises: ModelNotFound, there is nothing that could be said of: what is stored is read again and again."""
        found = {listing.id.version for listing in self._models.listings(model)}
        for version in versions:
            if version not in found:
                there = ", ".join(map(str, sorted(found))) or "none"
                raise ModelNotFound(f"the repository holds no version {version} of {model[:80]}; it holds {there}")
        if not found and model not in self.directions.now():
            raise ModelNotFound(f"the repository holds no model {model[:80]!r}")

    def _said(self, what: str, by: str, why: str) -> Change:
        return Change(self._clock.now(), what, by[:_LONGEST_NAME], why[:_LONGEST_REASON])
