"""One look: what the repository's root and every configured base path hold, as wishes model by model.

Every folder of the root is a model, served in its newest versions; a configured model wins by its name. A place that
cannot be read takes nothing away and keeps no other waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from service.application.lifecycle import Wish
from service.application.ports import Listing, Repository
from service.domain.serving_config import Latest, ModelConfig, ServingConfig


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look saw, and by which configuration it looked."""

    config: ServingConfig = ServingConfig()
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    problem: str | None = None
    """Why the root could not be read, if so; what was found in it before is repeated then."""
    complete: bool = False
    """Whether the root has been read at all, at some time."""

    @property
    def found(self) -> Mapping[str, Sequence[Listing]]:
        """Every version seen, by model."""
        return {name: wish.listings for name, wish in self.wishes.items() if wish.listings}


def look(repository: Repository, config: ServingConfig, keep: int, before: Sight) -> Sight:
    """Look at everything once. Blocks."""
    configured = {model.name: _configured(repository, model, before.wishes.get(model.name)) for model in config.models}
    places = {model.directory for model in config.models}
    complete, problem = True, None
    try:
        root = repository.scan()
    except OSError as error:
        complete, problem = before.complete, f"the repository cannot be read: {error}"
        root = {name: found for name, found in before.found.items() if name not in before.config.names}
    discovered = {
        name: Wish(Latest(keep), {}, listings)
        for name, listings in root.items()
        # A folder that was given a name of its own is not served twice.
        if name not in configured and PurePosixPath(listings[0].directory.parent.absolute()) not in places
    }
    return Sight(config, {**discovered, **configured}, problem, complete)


def _configured(repository: Repository, model: ModelConfig, before: Wish | None) -> Wish:
    wish = Wish(model.policy, model.labels)
    known = before.listings or () if before is not None else ()
    try:
        listings = repository.list_versions(model.name, model.directory, known)
    except OSError as error:
        return replace(wish, listings=None, problem=f"base path {model.base_path} cannot be read: {error}")
    problem = None if listings else f"No versions of servable {model.name} found under base path {model.base_path}"
    return replace(wish, listings=listings, problem=problem)
