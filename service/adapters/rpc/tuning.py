"""``graft.v1.Tuning``: the tuning API over gRPC.

Each method decodes, calls the application and encodes; what may be asked for is decided there, and errors become
statuses in ``errors``, with more about them in the trailing metadata.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from service.adapters.rpc.dataset_uploads import UploadLimits, dataset_options, receive_upload
from service.adapters.rpc.errors import answering
from service.adapters.rpc.structs import as_struct, from_struct
from service.adapters.rpc.tuning_messages import (
    STATES,
    dataset_message,
    error_trailer,
    estimate_message,
    event_message,
    job_message,
)
from service.application.tuning import Tuning
from service.application.tuning.receiving import receiving
from service.domain.budget import Budget
from service.domain.errors import InvalidInput, NotReady
from service.domain.jobs import TERMINAL_EVENTS, Job, JobRequest, JobState
from service.pb.graft.v1 import tuning_pb2 as pb
from service.pb.graft.v1 import tuning_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
_STATE_OF: Mapping[int, JobState] = {number: state for state, number in STATES.items()}
_JOBS_A_PAGE, _MOST_JOBS = 50, 200
_EVENTS_A_PAGE = 100
_LARGEST_SEQ = 2**31 - 1
_answering = functools.partial(answering, trailer=error_trailer)


class TuningService(tuning_pb2_grpc.TuningServicer):
    """Datasets and jobs."""

    def __init__(self, tuning: Tuning, limits: UploadLimits) -> None:
        self._tuning = tuning
        self._limits = limits

    # --- Datasets -----------------------------------------------------------------------------------------------------

    @_answering
    async def UploadDataset(
        self, request: AsyncIterator[pb.UploadDatasetRequest], context: Context
    ) -> pb.CheckedDataset:
        """Check labelled data and keep it."""
        datasets = self._tuning.datasets
        async with receiving(datasets) as file:
            said = await receive_upload(request, file, self._limits)
            dataset = await datasets.accept(file, said.filename, said.format, dataset_options(said))
        return pb.CheckedDataset(dataset=dataset_message(dataset), report=as_struct(dataset.report.to_dict()))

    @_answering
    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.Dataset:
        """A dataset without its report."""
        return dataset_message(await self._tuning.datasets.get(request.id))

    @_answering
    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Context) -> pb.ListDatasetsResponse:
        """All, newest first."""
        return pb.ListDatasetsResponse(datasets=map(dataset_message, await self._tuning.datasets.all()))

    @_answering
    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Context) -> Empty:
        """Unless a job needs it."""
        await self._tuning.datasets.delete(request.id)
        return Empty()

    @_answering
    async def GetDatasetReport(self, request: pb.GetDatasetReportRequest, context: Context) -> Struct:
        """What the check of a dataset found."""
        return as_struct((await self._tuning.datasets.get(request.id)).report.to_dict())

    # --- Jobs ---------------------------------------------------------------------------------------------------------

    @_answering
    async def CreateJob(self, request: pb.CreateJobRequest, context: Context) -> pb.Job:
        """Queue a job."""
        key = request.idempotency_key if request.HasField("idempotency_key") else None
        budget = Budget(
            request.budget.max_seconds if request.budget.HasField("max_seconds") else None,
            request.budget.max_memory_mb if request.budget.HasField("max_memory_mb") else None,
        )
        asked = replace(_asked(request), priority=request.priority, budget=budget)
        if request.on_success:
            asked = replace(asked, on_success=request.on_success)
        ordered = await self._tuning.order(asked, key, require_new=request.require_new, provisional=request.provisional)
        told = await self._told(ordered.job, reused=ordered.reused)
        if (found := ordered.provisional) is not None:
            told.provisional.CopyFrom(pb.Provisional(problem=found.problem, items=found.items, accuracy=found.accuracy))
        return told

    @_answering
    async def EstimateJob(self, request: pb.EstimateJobRequest, context: Context) -> pb.Estimate:
        """What a job would take, and whether it would be accepted."""
        return estimate_message(await self._tuning.estimates.of(_asked(request)))

    @_answering
    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.Job:
        """A job as it is now."""
        return await self._told(await self._tuning.jobs.get(request.id))

    @_answering
    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """A page of jobs, newest first."""
        limit = request.limit or _JOBS_A_PAGE
        if not 1 <= limit <= _MOST_JOBS:
            raise InvalidInput(f"a page holds 1 to {_MOST_JOBS} jobs, not {limit}")
        # One more than asked for tells whether there is a next page.
        found = await self._tuning.jobs.list(
            _state(request.state), request.head or None, request.page_token or None, limit + 1
        )
        page, more = found[:limit], len(found) > limit
        places = await self._tuning.jobs.places(page)
        jobs = [job_message(job, places.get(job.id)) for job in page]
        return pb.ListJobsResponse(jobs=jobs, next_page_token=page[-1].id if more else "")

    @_answering
    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.Job:
        """Ask that a job not go on."""
        return await self._told(await self._tuning.jobs.cancel(request.id))

    async def _told(self, job: Job, *, reused: bool = False) -> pb.Job:
        places = await self._tuning.jobs.places([job])
        return job_message(job, places.get(job.id), reused=reused)

    # --- History ------------------------------------------------------------------------------------------------------

    @_answering
    async def ListEvents(self, request: pb.ListEventsRequest, context: Context) -> pb.ListEventsResponse:
        """A page of a job's history."""
        after = _seq(request.after)
        page = await self._tuning.jobs.events(request.id, after, request.limit or _EVENTS_A_PAGE)
        return pb.ListEventsResponse(events=map(event_message, page), next=page[-1].seq if page else after)

    @_answering
    async def WatchJob(self, request: pb.WatchJobRequest, context: Context) -> None:
        """Write a job's history as it is written, to its end."""
        last, seen = "", _seq(request.after_seq)
        async with aclosing(self._tuning.jobs.watch(request.id, seen)) as events:
            async for event in events:
                await context.write(event_message(event))
                last, seen = event.type, event.seq
        if last not in TERMINAL_EVENTS and not (await self._tuning.jobs.get(request.id)).state.terminal:
            raise NotReady(f"the service is stopping; watch again after_seq {seen}")


def _asked(request: pb.CreateJobRequest | pb.EstimateJobRequest) -> JobRequest:
    return JobRequest(request.head, request.base, request.dataset, from_struct(request.recipe))


def _state(number: int) -> JobState | None:
    """Raises: InvalidInput, it is none of ours."""
    if number == pb.JOB_STATE_UNSPECIFIED:
        return None
    if number not in _STATE_OF:
        raise InvalidInput(f"{number} is no state of a job")
    return _STATE_OF[number]


def _seq(number: int) -> int:
    """Raises: InvalidInput, no event has it."""
    if not 0 <= number <= _LARGEST_SEQ:
        raise InvalidInput(f"{number} is no event's number")
    return number
