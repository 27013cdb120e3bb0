"""A head job once something is fitted: what was chosen, and what stands beside it."""

from __future__ import annotations

from functools import cached_property

from training.candidates.candidate import Arm, Candidate
from training.candidates.choosing import beside, chosen
from training.head_state import HeadState


class FittedState(HeadState):
    """What the phases behind the fitting ones share."""

    @cached_property
    def candidate(self) -> Candidate:
        """What is published if the gate lets it: the last that proved better."""
        return chosen(self)

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """What was fitted beside the candidate, by name: ``probe`` where something took its place, and what there is of
        ``linear_raw``, ``random_features`` and ``scratch``.
        """
        return beside(self)
