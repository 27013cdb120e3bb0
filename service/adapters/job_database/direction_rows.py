"""Which version of a model answers whom: a row a model, changed by compare-and-set on its revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.adapters.job_database.connection import transaction
from service.adapters.job_database.tables import directions
from service.domain.direction import Canary, Change, Direction, Limits, Share
from service.domain.errors import Conflict


class DirectionRows:
    """The ``DirectionStore`` port."""

    _engine: Engine

    def directions(self) -> Mapping[str, Direction]:
        """As the port says."""
        with transaction(self._engine) as connection:
            rows = connection.execute(select(directions.c.model, directions.c.value)).tuples().all()
        return {model: _direction(value) for model, value in rows}

    def direct(self, model: str, direction: Direction) -> None:
        """As the port says."""
        row = {"model": model, "revision": direction.revision, "value": asdict(direction)}
        before = (directions.c.model == model, directions.c.revision == direction.revision - 1)
        try:
            with transaction(self._engine, writes=True) as connection:
                if direction.revision == 1:
                    connection.execute(insert(directions).values(row))
                    return
                changed = connection.execute(update(directions).where(*before).values(row)).rowcount
        except IntegrityError:
            changed = 0
        if not changed:
            raise Conflict(f"the direction of {model} was changed before it became revision {direction.revision}")


def _direction(value: Mapping[str, Any]) -> Direction:
    canary = value["canary"]
    return Direction(
        stable=value["stable"],
        canary=None if canary is None else Canary(**{**canary, "limits": Limits(**canary["limits"])}),
        shadows=tuple(value["shadows"]),
        labels={label: tuple(Share(**share) for share in split) for label, split in value["labels"].items()},
        before=tuple(value["before"]),
        changes=tuple(Change(**change) for change in value["changes"]),
        revision=value["revision"],
    )
