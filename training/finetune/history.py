"""What a training was like: looks at it on the way, and how soon it was nearly as good as it became."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

SHARES = (0.90, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: after how many steps and seconds, the mean training loss since the look before, the validation score
    (greater is better), and the learning rate of the last step.
    """

    step: int
    seconds: float
    loss: float | None
    """None before the first step."""
    score: float | None
    """None where nothing is validated."""
    rate: float


@dataclass(frozen=True, slots=True)
class History:
    """A whole training."""

    looks: tuple[Look, ...]
    steps: int
    seconds: float
    stopped: str
    """``steps`` when all were done, ``patience`` when it got no better, ``time`` when its seconds were up."""
    best_step: int | None = None
    """The step whose state was kept, where states were validated."""
    best_score: float | None = None

    @property
    def last_loss(self) -> float:
        """The mean training loss of the last steps."""
        return next((look.loss for look in reversed(self.looks) if look.loss is not None), float("nan"))

    def reach(self) -> dict[str, dict[str, float]]:
        """The first look at which 90, 95 and 99 % of the best score were there, as ``{"90": {"step", "seconds"}}``.

        A score that may be negative, as a loss turned round, counts by the way from the first look to the best.
        """
        scored = [look for look in self.looks if look.score is not None]
        if self.best_score is None or not scored:
            return {}
        least = min(look.score for look in scored if look.score is not None)
        origin = 0.0 if least >= 0 else scored[0].score
        assert origin is not None
        found = {}
        for share in SHARES:
            level = origin + share * (self.best_score - origin)
            look = next(look for look in scored if look.score is not None and look.score >= min(level, self.best_score))
            found[f"{100 * share:.0f}"] = {"step": look.step, "seconds": look.seconds}
        return found

    def then(self, later: History) -> History:
        """This training and one that went on from its result, as one."""
        shifted = [
            replace(look, step=look.step + self.steps, seconds=round(look.seconds + self.seconds, 4))
            for look in later.looks[1:]
        ]
        best, score = self.best_step, self.best_score
        if later.best_score is not None and (score is None or later.best_score >= score):
            best, score = (later.best_step or 0) + self.steps, later.best_score
        return History(
            looks=(*self.looks, *shifted),
            steps=self.steps + later.steps,
            seconds=round(self.seconds + later.seconds, 4),
            stopped=later.stopped,
            best_step=best,
            best_score=score,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "looks": [asdict(look) for look in self.looks], "reach": self.reach()}
