"""One look: what the repository's root and every configured base path hold, as wishes model by model.

Every folder of the root is a model, served in its newest versions; a configured model wins by its name. A place that
cannot be read takes nothing away and keeps no other waiting. A wish that is as it was is the same object, and when all
are, so is the mapping: thousands of models of which none has changed cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from service.application.lifecycle import Wish
from service.application.ports import Listing, Repository
from service.domain.direction import NOBODY, Direction, DirectionByModel
from service.domain.serving_config import Directed, Latest, ModelConfig, ServingConfig

Found = Mapping[str, Sequence[Listing]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look saw, and by which configuration it looked."""

    config: ServingConfig = ServingConfig()
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    root: Found = field(default_factory=dict)
    """What the repository's root holds."""
    problem: str | None = None
    """Why the root could not be read, if so; what was found in it before is repeated then."""
    complete: bool = False
    """Whether the root has been read at all, at some time."""
    directions: DirectionByModel = field(default_factory=lambda: NOBODY)
    """By model which of its versions answers whom, where somebody said so."""

    def found(self, model: str) -> Sequence[Listing]:
        """Every version seen of a model."""
        wish = self.wishes.get(model)
        return wish.listings or () if wish is not None else ()


def look(
    repository: Repository, config: ServingConfig, keep: int, before: Sight, directions: DirectionByModel = NOBODY
) -> Sight:
    """Look at everything once. Blocks."""
    configured = {
        model.name: _configured(repository, model, before.wishes.get(model.name), directions.get(model.name))
        for model in config.models
    }
    complete, problem, root = True, None, before.root
    try:
        root = repository.scan()
    except OSError as error:
        complete, problem = before.complete, f"the repository cannot be read: {error}"
    wishes = before.wishes
    unchanged = all(wish is wishes.get(name) for name, wish in configured.items())
    same = root is before.root and config is before.config and directions is before.directions
    if not (unchanged and same):
        discovered = _discovered(root, config, Latest(keep), before.wishes, directions)
        wishes = {**discovered, **configured}
    return Sight(config, wishes, root, problem, complete, directions)


def _discovered(
    root: Found, config: ServingConfig, policy: Latest, before: Mapping[str, Wish], directions: DirectionByModel
) -> dict[str, Wish]:
    names, places = config.names, {model.directory for model in config.models}
    wishes = {}
    for name, listings in root.items():
        # A folder that was given a name of its own is not served twice.
        if name in names or (places and PurePosixPath(listings[0].directory.parent.absolute()) in places):
            continue
        wish, known = _directed(Wish(policy, listings=listings), directions.get(name)), before.get(name)
        wishes[name] = known if known is not None and known.same_as(wish) else wish
    return wishes


def _directed(wish: Wish, direction: Direction | None) -> Wish:
    if direction is None:
        return wish
    assert not isinstance(wish.policy, Directed), "a wish is directed once"
    return replace(wish, policy=Directed(wish.policy, direction.wanted))


def _configured(repository: Repository, model: ModelConfig, before: Wish | None, direction: Direction | None) -> Wish:
    wish = _directed(Wish(model.policy, model.labels), direction)
    known = before.listings or () if before is not None else ()
    try:
        listings = repository.list_versions(model.name, model.directory, known)
    except OSError as error:
        wish = replace(wish, listings=None, problem=f"base path {model.base_path} cannot be read: {error}")
    else:
        problem = None if listings else f"No versions of servable {model.name} found under base path {model.base_path}"
        wish = replace(wish, listings=listings, problem=problem)
    return before if before is not None and before.same_as(wish) else wish
