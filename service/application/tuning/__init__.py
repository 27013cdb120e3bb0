"""Tuning inside the service: labelled data comes in, jobs turn it into new versions of heads.

Promises that a job's state and its history never part, that a job runs whatever is killed when, and that nothing it
started outlives it. Knows neither how a trainer works nor what is served: it gives a trainer directories and reads what
it says, and learns of models through the smallest of ports.
"""

from service.application.tuning.policy import TuningPolicy
from service.application.tuning.tuning import Tuning
from service.application.tuning.uploads import UploadPolicy

__all__ = ["Tuning", "TuningPolicy", "UploadPolicy"]
