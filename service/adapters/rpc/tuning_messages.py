"""Tuning's domain values as messages of ``graft.v1``, and an error as what its call's trailing metadata holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from service.adapters.rpc.structs import as_struct
from service.domain.dataset import Dataset
from service.domain.errors import InvalidDataset, ServiceError, code_of
from service.domain.estimates import Estimate
from service.domain.jobs import Job, JobEvent, JobState
from service.pb.graft.v1 import tuning_pb2 as pb

STATES: Mapping[JobState, Any] = {state: pb.JobState.Value(f"JOB_STATE_{state.name}") for state in JobState}
ERROR_TRAILER = "graft-error-bin"
_MOST_DETAIL = 3072
"""Bytes. Clients take 8 KiB of metadata by default, in which this is a third longer, beside the status's own text."""


def dataset_message(dataset: Dataset) -> pb.Dataset:
    """A dataset without its report."""
    report = dataset.report
    return pb.Dataset(
        id=dataset.id,
        filename=dataset.filename,
        size_bytes=dataset.size_bytes,
        created=time_message(dataset.created),
        format=report.format or "",
        kind=report.kind or "",
        items=report.items,
        classes=[pb.Dataset.Class(label=label, items=items) for label, items in report.classes.items()],
        shape=report.shape or (),
        columns=report.columns,
        options=dataset.options,
        parent=dataset.parent,
    )


def job_message(job: Job, place: int | None = None, *, reused: bool = False) -> pb.Job:
    """A job as its operators see it, its ``place`` in the queue if it has one, and whether it was there already."""
    recipe = job.request.recipe if job.recipe is None else job.recipe
    objects = {"metrics": job.metrics, "gate": job.gate, "recipe": recipe, "error": job.error}
    times = {"not_before": job.not_before, "started": job.started, "finished": job.finished}
    there: dict[str, Any] = {name: as_struct(value) for name, value in objects.items() if value is not None}
    there |= {name: time_message(value) for name, value in times.items() if value is not None}
    return pb.Job(
        id=job.id,
        head=job.request.head,
        base=job.request.base,
        dataset=job.request.dataset,
        state=STATES[job.state],
        phase=job.phase,
        percent=round(job.percent, 2),
        eta_s=job.eta_s,
        version=job.version,
        attempt=job.attempt,
        crashes=job.crashes,
        cancel_requested=job.cancel_requested,
        created=time_message(job.created),
        priority=job.request.priority,
        on_success=job.request.on_success,
        budget=pb.Budget(max_seconds=job.request.budget.max_seconds, max_memory_mb=job.request.budget.max_memory_mb),
        queue_position=place,
        reused=reused,
        **there,
    )


def event_message(event: JobEvent) -> pb.Event:
    """An event as its readers see it."""
    return pb.Event(
        seq=event.seq,
        type=event.type,
        message=event.message,
        time=time_message(event.time),
        data=as_struct(event.data),
    )


def estimate_message(estimate: Estimate) -> pb.Estimate:
    """An estimate as its reader sees it."""
    seconds = estimate.seconds
    return pb.Estimate(
        allowed=not estimate.refusals,
        reasons=map(error_message, estimate.refusals),
        items=estimate.items,
        seconds=pb.Estimate.Seconds(low=seconds.low, high=seconds.high) if seconds else None,
        basis="earlier_jobs" if seconds else "unknown",
        basis_jobs=seconds.of if seconds else (),
        queue_position=estimate.queue_position,
        jobs_ahead=pb.Estimate.JobsAhead(queued=estimate.queued, running=estimate.running),
    )


def error_message(error: ServiceError, most_bytes: int = _MOST_DETAIL) -> pb.Error:
    """What is wrong; of the faults of labelled data the first that ``most_bytes`` have room for."""
    told = pb.Error(code=code_of(error), message=_cut(str(error), most_bytes // 3))
    if isinstance(error, InvalidDataset):
        told.fault_count = error.fault_count
        for fault in error.faults:
            told.faults.add(code=fault.code, message=fault.message, place=fault.place)
            if told.ByteSize() > most_bytes:
                del told.faults[-1]
                break
    return told


def error_trailer(error: ServiceError) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of a call that ends with this error."""
    return ((ERROR_TRAILER, error_message(error).SerializeToString()),)


def _cut(text: str, most_bytes: int) -> str:
    raw = text.encode(errors="replace")
    return raw.decode() if len(raw) <= most_bytes else raw[:most_bytes].decode(errors="ignore") + "..."


def time_message(seconds: float) -> Timestamp:
    """Seconds since the epoch, to the millisecond."""
    time: Any = Timestamp()
    time.FromMilliseconds(round(seconds * 1000))
    return time
