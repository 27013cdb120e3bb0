"""Which version answers whom, as messages of ``graft.v1``."""

from __future__ import annotations

from collections.abc import Iterable

from service.adapters.rpc.tuning_messages import time_message
from service.application.probations import Trial
from service.domain.direction import Canary, Direction, Split
from service.pb.graft.v1 import going_live_pb2 as pb


def direction_message(model: str, direction: Direction, trial: Trial | None) -> pb.Direction:
    """A direction, and what was seen of the versions that are compared, if any are."""
    return pb.Direction(
        model=model,
        revision=direction.revision,
        stable=direction.stable,
        canary=None if direction.canary is None else _canary(direction.canary),
        shadows=direction.shadows,
        labels=[pb.Direction.Label(label=label, split=_split(split)) for label, split in direction.labels.items()],
        before=direction.before,
        seen=() if trial is None else _seen(trial),
        changes=[
            pb.Direction.Change(at=time_message(change.at), what=change.what, by=change.by, why=change.why)
            for change in direction.changes
        ],
    )


def _canary(canary: Canary) -> pb.Canary:
    limits = canary.limits
    return pb.Canary(
        version=canary.version,
        percent=canary.percent,
        limits=pb.Limits(more_errors=limits.more_errors, slower=limits.slower, disagreement=limits.disagreement),
        promote_after=canary.promote_after,
    )


def _split(split: Split) -> Iterable[pb.Share]:
    return [pb.Share(version=share.version, weight=share.weight) for share in split]


def _seen(trial: Trial) -> Iterable[pb.Direction.Seen]:
    for version, seen in sorted(trial.seen.items()):
        yield pb.Direction.Seen(
            version=version,
            requests=seen.requests,
            failed=seen.failed,
            p95_ms=None if seen.p95_s is None else round(seen.p95_s * 1e3, 3),
            compared=seen.compared,
            differed=seen.differed,
            problem=trial.incomparable.get(version),
        )
