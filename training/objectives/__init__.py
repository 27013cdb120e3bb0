"""What a model is trained for: one objective for each task, which loss, figures, gate and serving agree on."""

from training.objectives.choosing import objective_for
from training.objectives.objective import Encoded, Objective

__all__ = ["Encoded", "Objective", "objective_for"]
