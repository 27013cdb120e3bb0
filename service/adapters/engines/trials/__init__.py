"""Whether OpenVINO answers as TensorFlow does, found out in a process of its own."""

from service.adapters.engines.trials.trials import TrialFailed, Trials

__all__ = ["TrialFailed", "Trials"]
