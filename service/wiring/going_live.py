"""Which version answers whom: what is stored of it, what changes it, and what watches over it, joined."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from service.adapters.direction_metrics import DirectionMetrics
from service.application.directing import Directing
from service.application.directions import Directions
from service.application.models import Models
from service.application.ports import Clock
from service.application.probations import Probations


class GoingLive:
    """The parts that need the models and those that the models need."""

    def __init__(self, directions: Directions, models: Models, clock: Clock, registry: CollectorRegistry) -> None:
        self.directing = Directing(directions, models, clock)
        self.probations = Probations(models, self.directing, DirectionMetrics(registry), clock)

    async def work(self) -> None:
        """Follow what is stored and watch what is compared, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.directing.directions.follow())
            tasks.create_task(self.probations.run())
