"""Starting the trainer, which is a program of its own: to check labelled data, and to run a job.

Promises that no process started here outlives the one that started it, nor what it was started for. Knows the trainer's
command line and what it prints, and never imports it.
"""

from service.adapters.trainers.checking import ProcessDatasetChecker
from service.adapters.trainers.process import ProcessTrainer

__all__ = ["ProcessDatasetChecker", "ProcessTrainer"]
