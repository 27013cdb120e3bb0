"""Every model that is known, and which of its versions answer: what requests and operators read of the lifecycle.

The loop in ``models`` writes here. A model's part of the serving map is replaced, never edited, so a request that
looked its version up and pinned it cannot see half a swap. Belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence

from service.application.lifecycle import ModelVersions, VersionStatus
from service.application.online import Online
from service.application.past import Past
from service.application.ports import Listing
from service.application.sight import Sight
from service.domain.direction import CANARY, NOBODY, STABLE, DirectionByModel, answering
from service.domain.errors import ModelNotFound
from service.domain.serving_config import ServingConfig
from service.domain.versions import ModelRef, Readiness, VersionId, VersionState, readiness


class Registry:
    """The models, by name."""

    def __init__(
        self,
        config: ServingConfig,
        required: Collection[str] = (),
        directions: Callable[[], DirectionByModel] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``config`` lists models by name; the ``required`` ones must be live for readiness. ``directions`` says which
        versions answer whom, the same mapping for as long as nothing of it changes. ``draw`` gives numbers from 0 up to
        1, by which requests are divided among versions.
        """
        self._config, self._required, self._draw = config, tuple(required), draw
        self._directions = directions or _nobody_directs
        self.config_problem: str | None = None
        """Why another configuration, which somebody wrote down, is not in force."""
        self._models: dict[str, ModelVersions] = {}
        self._serving: dict[str, Mapping[int, Online]] = {}
        self._newest: dict[str, Online] = {}
        """Of what is served, for requests that name no version: one look for them, where most requests are."""
        self._sight, self._past = Sight(), Past()
        self._unsettled: set[str] = set()
        """Models of which there is no verdict yet."""
        self._opened = False
        self._change = asyncio.Event()

    # --- For requests -------------------------------------------------------------------------------------------------

    def find(self, ref: ModelRef) -> Online:
        """The live version a reference names. To be pinned before the next ``await``.

        Raises:
            ModelNotFound, UnknownLabel
            NotReady: a label's version does not answer yet.
        """
        model, number = ref.model, ref.version
        if number is None and (ref.label is not None or model in self._directions()):
            number = self._unnumbered(ref)
        online = self._newest.get(model) if number is None else self._serving.get(model, {}).get(number)
        if online is None:
            raise ModelNotFound(f"Servable not found for request: {ref}")
        return online

    def _unnumbered(self, ref: ModelRef) -> int | None:
        """The version for a request that names none; None is the newest."""
        direction = self._directions().get(ref.model)
        if direction is not None:
            number = answering(direction, ref.label, self._serving.get(ref.model, {}), self._draw())
            if number is not None:
                return number
        if ref.label is not None and ref.model in self._models:
            return self._models[ref.model].labelled(ref.label)
        return None

    # --- For operators ------------------------------------------------------------------------------------------------

    def names(self) -> Sequence[str]:
        """Every model known."""
        return sorted(self._models)

    def status(self, model: str) -> Sequence[VersionStatus]:
        """Every version known of a model, newest first; empty when there is no such model."""
        known = self._models.get(model)
        return known.status() if known is not None else []

    def history(self, model: str) -> Sequence[VersionStatus]:
        """The same, and the last few that are gone, newest first."""
        there = self.status(model)
        gone = self._past.of(model, without={one.version for one in there})
        ended = [VersionStatus(one.version, VersionState.ENDED, one.error, None, None, None) for one in gone]
        return sorted([*there, *ended], key=lambda one: one.version, reverse=True)

    def labels(self, model: str) -> Mapping[str, int]:
        """Where each label of a model points now; one that is divided among versions is in its direction alone."""
        labels = dict(self._models[model].labels) if model in self._models else {}
        direction, live = self._directions().get(model), self._serving.get(model, {})
        for label in (STABLE, CANARY, *direction.labels) if direction is not None else ():
            split = direction.split(label) if direction is not None else None
            if split is not None and len(split) == 1 and split[0].version in live:
                labels[label] = split[0].version
        return labels

    def warnings(self, model: str) -> Sequence[str]:
        """What keeps a model from being served quite as it was asked for."""
        return self._models[model].warnings if model in self._models else []

    @property
    def config(self) -> ServingConfig:
        """The models that are configured by name."""
        return self._config

    def live_listing(self, model: str) -> Listing | None:
        """The listing of the published version that answers whoever asks for none in particular."""
        answering, direction = self._newest.get(model), self._directions().get(model)
        if answering is not None and direction is not None and direction.stable is not None:
            answering = self._serving[model].get(direction.stable, answering)
        # Of versions that answer the newest is provisional where nothing published does, and only there.
        return answering.listing if answering is not None and not answering.listing.provisional else None

    def online(self, model: str) -> Mapping[int, Online]:
        """What answers of a model now, by version."""
        return self._serving.get(model, {})

    def in_use(self) -> Collection[VersionId]:
        """Every version that answers now. From any thread: the serving map's parts are replaced, never edited."""
        return {one.id for live in list(self._serving.values()) for one in live.values()}

    def listings(self, model: str) -> Sequence[Listing]:
        """Every version the repository was last seen to hold of a model, live or not."""
        return tuple(one for one in self._sight.found(model) if not one.provisional)

    @property
    def looked(self) -> bool:
        """Whether the repository was read since the start."""
        return self._sight.complete

    def readiness(self) -> Readiness:
        """Whether requests may be sent here. Who was ready once is not made unready by a model that comes along."""
        if not self._sight.complete and not self._config.models:
            return Readiness(False, ("the repository has not been read yet",))
        return readiness(self._required, () if self._opened else self._unsettled, self._serving.keys())

    async def tried(self) -> None:
        """Wait until everything there is answers or has failed."""
        while not self._sight.complete or self._unsettled:
            await self._change.wait()

    async def settled(self, names: Collection[str]) -> Mapping[str, str | None]:
        """Wait until every version of these models that ought to answer does or has failed; of each model None when
        some of it answers, else why nothing does. A model that is no longer served meanwhile is left out.
        """
        while self.untried(names):
            await self._change.wait()
        return {name: self._models[name].failure for name in names if name in self._models}

    def untried(self, names: Collection[str]) -> Sequence[str]:
        """Which of these models have versions that are still on their way."""
        return sorted(name for name in names if name in self._models and self._models[name].untried)

    # --- For the loop -------------------------------------------------------------------------------------------------

    def _swap(self, model: ModelVersions) -> None:
        """Let what is live now answer."""
        model.point_labels()
        live = model.live()
        if live:
            self._serving[model.name], self._newest[model.name] = live, live[max(live)]
        else:
            self._serving.pop(model.name, None)
            self._newest.pop(model.name, None)

    def _announce(self) -> None:
        """Something may have changed for those who wait."""
        self._opened = self._opened or (bool(self._serving) and not self._unsettled)
        self._change.set()
        self._change = asyncio.Event()


def _nobody_directs() -> DirectionByModel:
    return NOBODY
