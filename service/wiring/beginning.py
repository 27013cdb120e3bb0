"""The first thing that a worker is told by its parent."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.serving_config import ServingConfig
from service.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class Beginning:
    """All that it has to know."""

    name: str
    settings: ServeSettings
    """With the ports that its parent has reserved."""
    late: bool
    """Whether others answer already."""
    state_lock: int | None
    """The inherited descriptor that holds the state directory's lock."""
    config: ServingConfig | None
    """Models by name, where they were replaced since the crew began."""
