"""``graft.v1.Tuning`` over a real server and a real channel: the same jobs and datasets as over REST, and nothing left
behind by who breaks off, lies, or sends too much.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.struct_pb2 import Struct
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from serving_fakes import Bench as Serving

from service.adapters.rpc.dataset_uploads import LARGEST_CHUNK, UploadLimits
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.adapters.rpc.tuning import TuningService
from service.adapters.rpc.tuning_messages import ERROR_TRAILER, STATES, error_message
from service.domain.errors import InvalidDataset, ModelFailed
from service.domain.faults import Fault
from service.domain.jobs import JobState
from service.pb.graft.v1 import tuning_pb2 as pb
from service.pb.graft.v1 import tuning_pb2_grpc
from tests.application.tuning_fakes import FAILED, PHASES, STUCK, WHOLE, Bench, end_of, event_of

Code = grpc.StatusCode
MOST = 100_000


class Door:
    """A server with fakes behind it, and a client of its tuning service."""

    def __init__(self, directory: Path, **limits: Any) -> None:
        self.bench, self._serving = Bench(directory), Serving()
        self.tuning = self.bench.service()
        self.server = RpcServer(
            PredictionService(self._serving.predictor),
            ModelStatusService(self._serving.models, self._serving.reloads),
            "127.0.0.1:0",
            tuning=TuningService(self.tuning, UploadLimits(**{"most_bytes": MOST, **limits})),
        )
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.stub = tuning_pb2_grpc.TuningStub(self.channel)

    async def upload(self, content: str = "good", size: int | None = None, **options: str) -> pb.CheckedDataset:
        first = pb.UploadDatasetRequest.Options(**{"filename": "f.csv", **options}, size_bytes=size)
        half = len(content) // 2
        return await self.send([message(first), message(content[:half]), message(content[half:])])

    async def send(self, messages: Iterable[pb.UploadDatasetRequest]) -> pb.CheckedDataset:
        return await self.stub.UploadDataset(iter(messages), timeout=20)

    async def job(self, acts: Any = WHOLE, **changes: Any) -> pb.Job:
        dataset = (await self.upload()).dataset.id
        order = {"head": "flowers", "base": "iris", "dataset": dataset, "recipe": struct({"acts": acts}), **changes}
        return await self.stub.CreateJob(pb.CreateJobRequest(**order), timeout=20)

    def left(self) -> list[str]:
        places = (self.bench.directory / "uploads", self.bench.directory / "datasets")
        return [path.name for place in places for path in place.iterdir()]

    async def close(self) -> None:
        await self.channel.close()
        self.bench.trainer.leaving.set()
        await self.bench.close()
        await self.server.stop(0)
        await self._serving.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    made = Door(tmp_path)
    await made.server.start()
    yield made
    await made.close()


def message(part: Any) -> pb.UploadDatasetRequest:
    if isinstance(part, pb.UploadDatasetRequest.Options):
        return pb.UploadDatasetRequest(options=part)
    return pb.UploadDatasetRequest(chunk=part.encode() if isinstance(part, str) else part)


def struct(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be so")


NOT_JSON, LONG = struct({"x": float("nan")}), struct({"x": "y" * 70_000})
OPTIONS = message(pb.UploadDatasetRequest.Options(filename="f.csv"))


async def refused(call: Any) -> tuple[Code, pb.Error]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailers = dict(caught.value.trailing_metadata() or ())
    error = pb.Error.FromString(trailers[ERROR_TRAILER])
    assert error.message.startswith((caught.value.details() or "").partition("...")[0])
    return caught.value.code(), error


# --- Datasets ---------------------------------------------------------------------------------------------------------


async def test_a_dataset_is_uploaded_got_listed_and_deleted(door: Door) -> None:
    checked = await door.upload(label="c", task="multiclass", format="csv", size=4)
    dataset = checked.dataset
    assert (dataset.filename, dataset.size_bytes, dataset.format, dataset.kind) == ("f.csv", 4, "csv", "vector")
    assert [(one.label, one.items) for one in dataset.classes] == [("a", 5), ("b", 5)]
    assert not dataset.HasField("parent")
    assert (list(dataset.shape), dataset.options) == ([4], {"label": "c", "task": "multiclass"})
    assert checked.report["items"] == 10
    assert await door.stub.GetDataset(pb.GetDatasetRequest(id=dataset.id)) == dataset
    assert list((await door.stub.ListDatasets(pb.ListDatasetsRequest())).datasets) == [dataset]
    assert await door.stub.GetDatasetReport(pb.GetDatasetReportRequest(id=dataset.id)) == checked.report
    await door.stub.DeleteDataset(pb.DeleteDatasetRequest(id=dataset.id))
    code, error = await refused(door.stub.GetDataset(pb.GetDatasetRequest(id=dataset.id)))
    assert (code, error.code) == (Code.NOT_FOUND, "dataset_not_found")
    assert door.left() == []


async def test_faults_come_with_their_places_and_nothing_is_kept(door: Door) -> None:
    code, error = await refused(door.upload("bad"))
    assert (code, error.code, error.fault_count) == (Code.INVALID_ARGUMENT, "invalid_dataset", 7)
    assert [(one.code, one.place) for one in error.faults] == [("nan", "row 3, column b"), ("one_class", "file")]
    assert door.left() == []


@pytest.mark.parametrize(
    ("messages", "code", "text"),
    [
        ([], Code.INVALID_ARGUMENT, "first message"),
        ([message("good")], Code.INVALID_ARGUMENT, "first message"),
        ([pb.UploadDatasetRequest()], Code.INVALID_ARGUMENT, "first message"),
        ([OPTIONS, OPTIONS], Code.INVALID_ARGUMENT, "a chunk of the file"),
        ([OPTIONS, message("good"), pb.UploadDatasetRequest()], Code.INVALID_ARGUMENT, "a chunk of the file"),
        ([OPTIONS, message(bytes(LARGEST_CHUNK + 1))], Code.INVALID_ARGUMENT, "a chunk holds at most"),
        ([OPTIONS, *[message(bytes(MOST // 2))] * 3], Code.RESOURCE_EXHAUSTED, "larger than this server accepts"),
        ([message(pb.UploadDatasetRequest.Options(size_bytes=MOST + 1))], Code.RESOURCE_EXHAUSTED, "larger than this"),
        ([message(pb.UploadDatasetRequest.Options(size_bytes=-1))], Code.INVALID_ARGUMENT, "negative"),
        ([message(pb.UploadDatasetRequest.Options(size_bytes=5)), message("good")], Code.INVALID_ARGUMENT, "ended aft"),
        ([message(pb.UploadDatasetRequest.Options(size_bytes=3)), message("good")], Code.INVALID_ARGUMENT, "more byte"),
        ([message(pb.UploadDatasetRequest.Options(format="exe")), message("good")], Code.INVALID_ARGUMENT, "'exe'"),
        ([message(pb.UploadDatasetRequest.Options(task="cook")), message("good")], Code.INVALID_ARGUMENT, "'cook'"),
    ],
    ids=range(13),
)
async def test_a_stream_that_is_no_upload_leaves_nothing(
    door: Door, messages: list[pb.UploadDatasetRequest], code: Code, text: str
) -> None:
    got, error = await refused(door.send(messages))
    assert got is code
    assert text in error.message
    assert door.left() == []


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(door: Door) -> None:
    received = asyncio.Event()

    async def half() -> AsyncIterator[pb.UploadDatasetRequest]:
        yield OPTIONS
        yield message("go")
        received.set()
        await asyncio.Event().wait()

    call = door.stub.UploadDataset(half())
    await received.wait()
    await until(lambda: bool(door.left()))
    call.cancel()
    await until(lambda: not door.left())
    assert not door.bench.checker.asked


async def test_a_client_that_sends_nothing_is_not_waited_for_without_end(tmp_path: Path) -> None:
    door = Door(tmp_path, patience_s=0.05)
    await door.server.start()

    async def silent() -> AsyncIterator[pb.UploadDatasetRequest]:
        yield OPTIONS
        await asyncio.Event().wait()

    code, error = await refused(door.stub.UploadDataset(silent()))
    assert (code, error.code) == (Code.DEADLINE_EXCEEDED, "deadline_exceeded")
    assert door.left() == []
    await door.close()


def test_trailing_metadata_has_room_for_some_faults_and_the_count_of_all() -> None:
    faults = [Fault("nan", "a number is missing " * 3, f"row {row}, column b") for row in range(100)]
    told = error_message(InvalidDataset(faults, 12_345))
    assert 3 < len(told.faults) < 100
    assert told.fault_count == 12_345
    assert told.ByteSize() <= 3072
    assert error_message(ModelFailed("é" * 10_000)).ByteSize() <= 3072


# --- Jobs -------------------------------------------------------------------------------------------------------------


async def test_a_job_goes_its_way_and_is_told_of_in_full(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job()
    assert made.state == pb.JOB_STATE_QUEUED
    assert not made.HasField("version")
    assert not made.HasField("started")
    events = [event async for event in door.stub.WatchJob(pb.WatchJobRequest(id=made.id))]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.data["phase"] for event in events if event.type == "job.phase"] == list(PHASES)
    assert events[-1].type == "job.succeeded"
    job = await door.stub.GetJob(pb.GetJobRequest(id=made.id))
    assert (job.state, job.version, job.metrics["accuracy"]) == (pb.JOB_STATE_SUCCEEDED, 3, 0.97)
    assert (dict(job.gate), dict(job.recipe)) == ({"verdict": "passed"}, {"l2": 0.1})
    assert made.created.ToMilliseconds() == job.created.ToMilliseconds() <= job.finished.ToMilliseconds()
    page = await door.stub.ListEvents(pb.ListEventsRequest(id=made.id, after=2, limit=3))
    assert (list(page.events), page.next) == (events[2:5], 5)


async def test_whole_numbers_of_a_recipe_arrive_as_whole_numbers(door: Door) -> None:
    """JSON over REST and a Struct over gRPC are the same request, also to an idempotency key."""
    recipe = {"seed": 3, "l2": 0.5, "cuts": ["a", 2, None, {"deep": True}]}
    made = await door.job(recipe=struct(recipe), idempotency_key="k")
    asked = (await door.tuning.jobs.get(made.id)).request
    assert repr(asked.recipe) == repr(dict(sorted(recipe.items(), key=lambda item: list(asked.recipe).index(item[0]))))
    assert (await door.tuning.jobs.submit(asked, "k")).id == made.id
    assert (await door.job(recipe=struct(recipe), idempotency_key="k")).id == made.id
    code, _ = await refused(door.job(recipe=struct({"seed": 4}), idempotency_key="k"))
    assert code is Code.ABORTED


async def test_a_failed_job_says_why(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job([{"say": FAILED}])
    await end_of(door.tuning, await door.tuning.jobs.get(made.id))
    job = await door.stub.GetJob(pb.GetJobRequest(id=made.id))
    assert job.state == pb.JOB_STATE_FAILED
    assert (job.error["code"], job.error["details"]["key"]) == ("bad_recipe", "l3")


async def test_jobs_are_listed_in_pages_and_by_state_and_head(door: Door) -> None:
    ids = [(await door.job(head=head)).id for head in ("one", "two", "one")]
    await door.stub.CancelJob(pb.CancelJobRequest(id=ids[1]))

    async def listed(**asked: Any) -> list[str]:
        return [job.id for job in (await door.stub.ListJobs(pb.ListJobsRequest(**asked))).jobs]

    assert await listed() == ids[::-1]
    assert await listed(head="one") == [ids[2], ids[0]]
    assert await listed(state=pb.JOB_STATE_CANCELLED) == [ids[1]]
    page = await door.stub.ListJobs(pb.ListJobsRequest(limit=2))
    assert await listed(limit=2, page_token=page.next_page_token) == [ids[0]]
    assert (await door.stub.ListJobs(pb.ListJobsRequest(limit=3))).next_page_token == ""


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("GetJob", pb.GetJobRequest(id="job-none"), Code.NOT_FOUND),
        ("GetJob", pb.GetJobRequest(id="../x"), Code.NOT_FOUND),
        ("CancelJob", pb.CancelJobRequest(id="job-none"), Code.NOT_FOUND),
        ("GetDataset", pb.GetDatasetRequest(id="ds-\0"), Code.NOT_FOUND),
        ("ListJobs", pb.ListJobsRequest(limit=-1), Code.INVALID_ARGUMENT),
        ("ListJobs", pb.ListJobsRequest(limit=201), Code.INVALID_ARGUMENT),
        ("ListJobs", pb.ListJobsRequest(state=99), Code.INVALID_ARGUMENT),
        ("ListJobs", pb.ListJobsRequest(page_token="job-none"), Code.INVALID_ARGUMENT),
        ("ListEvents", pb.ListEventsRequest(id="job-none"), Code.NOT_FOUND),
        ("ListEvents", pb.ListEventsRequest(id="job-none", after=-1), Code.INVALID_ARGUMENT),
        ("ListEvents", pb.ListEventsRequest(id="job-none", limit=501), Code.INVALID_ARGUMENT),
        ("CreateJob", pb.CreateJobRequest(), Code.INVALID_ARGUMENT),
        ("CreateJob", pb.CreateJobRequest(head="h", base="none", dataset="d"), Code.NOT_FOUND),
        ("CreateJob", pb.CreateJobRequest(head="h", base="iris", dataset="d"), Code.NOT_FOUND),
        ("CreateJob", pb.CreateJobRequest(head="h", base="iris", recipe=NOT_JSON), Code.INVALID_ARGUMENT),
        ("CreateJob", pb.CreateJobRequest(head="h", base="iris", recipe=LONG), Code.INVALID_ARGUMENT),
        ("CreateJob", pb.CreateJobRequest(head="h", base="iris", idempotency_key=""), Code.INVALID_ARGUMENT),
        ("CreateJob", pb.CreateJobRequest(head="foreign", base="iris"), Code.ABORTED),
    ],
    ids=range(18),
)
async def test_what_cannot_be_is_refused(door: Door, method: str, request_: Any, code: Code) -> None:
    got, error = await refused(getattr(door.stub, method)(request_))
    assert got is code
    assert error.code


async def test_a_cancel_is_asked_for_and_honoured(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job(STUCK)
    await event_of(door.tuning, await door.tuning.jobs.get(made.id), "job.phase", phase="features")
    asked = await door.stub.CancelJob(pb.CancelJobRequest(id=made.id))
    assert asked.cancel_requested
    await end_of(door.tuning, await door.tuning.jobs.get(made.id))
    assert (await door.stub.GetJob(pb.GetJobRequest(id=made.id))).state == pb.JOB_STATE_CANCELLED
    code, _ = await refused(door.stub.CancelJob(pb.CancelJobRequest(id=made.id)))
    assert code is Code.ABORTED


async def test_priority_budget_and_place_in_the_queue_are_told(door: Door) -> None:
    first = await door.job(head="one", budget=pb.Budget(max_seconds=60))
    urgent = await door.job(head="two", priority=5, on_success="canary:10")
    assert (first.on_success, urgent.on_success) == ("promote", "canary:10")
    assert (first.queue_position, first.priority, first.budget.max_seconds) == (1, 0, 60)
    assert not first.budget.HasField("max_memory_mb")
    assert (urgent.queue_position, urgent.priority) == (1, 5)
    listed = (await door.stub.ListJobs(pb.ListJobsRequest())).jobs
    assert [(job.id, job.queue_position) for job in listed] == [(urgent.id, 1), (first.id, 2)]
    for wrong in ({"priority": 101}, {"budget": pb.Budget(max_seconds=-1)}, {"on_success": "explode"}):
        code, _ = await refused(door.job(**wrong))
        assert code is Code.INVALID_ARGUMENT


async def test_what_a_job_would_take_is_told_without_starting_it(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job()
    await end_of(door.tuning, await door.tuning.jobs.get(made.id))
    asked = {"head": "flowers", "base": "iris", "dataset": made.dataset}
    told = await door.stub.EstimateJob(pb.EstimateJobRequest(**asked))
    assert (told.allowed, told.items, told.basis, list(told.basis_jobs)) == (True, 10, "earlier_jobs", [made.id])
    assert 0 < told.seconds.low <= told.seconds.high
    assert (told.queue_position, told.jobs_ahead.queued, told.jobs_ahead.running) == (1, 0, 0)
    told = await door.stub.EstimateJob(pb.EstimateJobRequest(head="foreign", base="iris", dataset="ds-none"))
    assert not told.allowed
    assert [reason.code for reason in told.reasons] == ["conflict", "dataset_not_found"]
    assert (told.HasField("items"), told.HasField("seconds"), told.basis) == (False, False, "unknown")
    assert len((await door.stub.ListJobs(pb.ListJobsRequest())).jobs) == 1


# --- Watching ---------------------------------------------------------------------------------------------------------


async def test_a_watcher_goes_on_after_the_last_event_it_has_seen(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job()
    whole = [event async for event in door.stub.WatchJob(pb.WatchJobRequest(id=made.id))]
    rest = [event async for event in door.stub.WatchJob(pb.WatchJobRequest(id=made.id, after_seq=4))]
    assert rest == whole[4:]
    assert [event async for event in door.stub.WatchJob(pb.WatchJobRequest(id=made.id, after_seq=whole[-1].seq))] == []


async def test_watching_ends_when_the_client_leaves_and_when_the_server_stops(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job(STUCK)
    leaving, staying = (door.stub.WatchJob(pb.WatchJobRequest(id=made.id)) for _ in range(2))
    await leaving.read()
    leaving.cancel()
    events = aiter(staying)
    # Up to the one of the phase in which it stays.
    while (await anext(events)).data.fields["phase"].string_value != "features":
        pass
    await door.tuning.close()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [event async for event in events]
    assert caught.value.code() is Code.UNAVAILABLE


@pytest.mark.parametrize("asked", [pb.WatchJobRequest(id="job-none"), pb.WatchJobRequest(id="job-none", after_seq=-1)])
async def test_what_is_not_there_cannot_be_watched(door: Door, asked: pb.WatchJobRequest) -> None:
    code, _ = await refused(anext(aiter(door.stub.WatchJob(asked))))
    assert code is (Code.INVALID_ARGUMENT if asked.after_seq else Code.NOT_FOUND)


async def test_many_watchers_of_a_job_all_see_the_same_history(door: Door) -> None:
    door.bench.at_work(door.tuning)
    made = await door.job([*STUCK[:-1], {"pause": 0.2}, *WHOLE])

    async def history() -> list[int]:
        return [event.seq async for event in door.stub.WatchJob(pb.WatchJobRequest(id=made.id))]

    histories = await asyncio.gather(*(history() for _ in range(200)))
    assert all(one == histories[0] for one in histories)


# --- The server -------------------------------------------------------------------------------------------------------


async def test_health_and_reflection_know_the_service(door: Door) -> None:
    health = health_pb2_grpc.HealthStub(door.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service="graft.v1.Tuning"))
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    await door.server.serving(True)
    answer = await health.Check(health_pb2.HealthCheckRequest(service="graft.v1.Tuning"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(door.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([asked])):
        assert "graft.v1.Tuning" in [one.name for one in answer.list_services_response.service]
        break


def test_every_state_of_a_job_has_its_number() -> None:
    assert set(STATES) == set(JobState)
    assert len(set(STATES.values())) == len(JobState) == len(pb.JobState.values()) - 1
