"""Where trainers run: on this machine, or on those of a Ray cluster."""

from __future__ import annotations

from pathlib import Path

from service.adapters.trainers import KnownFeatures, ProcessTrainer, RayCluster, RayTrainer
from service.domain.errors import InvalidInput
from service.settings import ServeSettings


def trainer_of(settings: ServeSettings, state: Path) -> ProcessTrainer | RayTrainer:
    """What runs jobs. ``state`` is this service's own directory.

    Raises:
        InvalidInput: the settings do not go together.
    """
    place = Path(settings.ray_work_area).resolve() if settings.ray and settings.ray_work_area else state
    known = None
    if settings.known_feature_bytes:
        known = KnownFeatures((place / "features").resolve(), settings.known_feature_bytes)
    if not settings.ray:
        spares = settings.warm_trainers if settings.discover else 0
        return ProcessTrainer(place / "jobs", spares=spares, known_features=known)
    if settings.database and not settings.ray_work_area:
        raise InvalidInput(
            "services on one database take over each other's jobs at Ray; give --ray-work-area a directory that all of"
            " them and Ray's machines share"
        )
    command = (settings.ray_python, "-m", "training")
    cluster = RayCluster(settings.ray, command, gpus=settings.ray_gpus, cpus=settings.ray_cpus)
    return RayTrainer(place / "jobs", cluster, known_features=known)
