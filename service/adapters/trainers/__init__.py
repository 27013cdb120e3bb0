"""Starting the trainer, which is a program of its own: to check labelled data, and to run a job.

Promises that no process started here outlives the one that started it, nor what it was started for. Knows the trainer's
command line and what it prints, and never imports it.
"""

from service.adapters.trainers.checking import ProcessDatasetChecker
from service.adapters.trainers.process import ProcessTrainer
from service.adapters.trainers.ray import RayCluster, RayTrainer
from service.adapters.trainers.work_areas import KnownFeatures

__all__ = ["KnownFeatures", "ProcessDatasetChecker", "ProcessTrainer", "RayCluster", "RayTrainer"]
