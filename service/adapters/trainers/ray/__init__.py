"""Trainers on the machines of a Ray cluster, handed to it over its HTTP interface for jobs.

Ray finds a machine with a free GPU and starts the trainer there; that is all that is left to it. What the trainer says,
whether it is at work and whether it may be stands in the work area, which service and machines share.
"""

from service.adapters.trainers.ray.jobs import RayCluster
from service.adapters.trainers.ray.trainer import RayTrainer

__all__ = ["RayCluster", "RayTrainer"]
