"""Tuning by a generated gRPC client, at two workers behind one port: foretold, watched, and told of by webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from real_server import ENVIRONMENT, GRAFT, Digits, Server, until

from service.pb.graft.v1 import tuning_pb2 as pb
from service.pb.graft.v1 import tuning_pb2_grpc

pytestmark = pytest.mark.e2e

SECRET = b"known to both of us"
CHUNK = 64 * 1024


class Receiver(ThreadingHTTPServer):
    """Fails at first, and hears from then on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.tries: list[tuple[dict[str, str], bytes]] = []
        self.deaf = threading.Event()


class Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.tries.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(503 if self.server.deaf.is_set() else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Tests have no use for it."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    serving = threading.Thread(target=made.serve_forever)
    serving.start()
    yield made
    made.shutdown()
    serving.join()
    made.server_close()


def stub(server: Server) -> tuning_pb2_grpc.TuningStub:
    """A client with a connection of its own, to whichever worker gets it."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    return tuning_pb2_grpc.TuningStub(grpc.insecure_channel(server.grpc, options=options))


def upload(server: Server, content: bytes) -> pb.Dataset:
    def messages() -> Iterator[pb.UploadDatasetRequest]:
        yield pb.UploadDatasetRequest(options={"filename": "digits.zip", "size_bytes": len(content)})
        for start in range(0, len(content), CHUNK):
            yield pb.UploadDatasetRequest(chunk=content[start : start + CHUNK])

    return stub(server).UploadDataset(messages(), timeout=120).dataset


def tuned(server: Server, dataset: pb.Dataset, head: str, seed: int) -> pb.Job:
    """A job, watched to its end; each call may be answered by another worker."""
    recipe = Struct()
    recipe.update({"seed": seed, "gate": {"mode": "record"}})
    order = pb.CreateJobRequest(head=head, base="digits", dataset=dataset.id, recipe=recipe)
    made = stub(server).CreateJob(order, timeout=60)
    events = list(stub(server).WatchJob(pb.WatchJobRequest(id=made.id), timeout=200))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "job.succeeded", events[-1].message
    return stub(server).GetJob(pb.GetJobRequest(id=made.id), timeout=60)


def test_a_head_is_tuned_by_a_generated_client_foretold_and_told_of(
    repository: Path, tmp_path: Path, digits: Digits, serve: Callable[..., Server], receiver: Receiver
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET + b"\n")
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    server = serve(repository, workers=2, webhook_url=url, webhook_secret_file=secret).ready()
    small = upload(server, digits.archive(25))
    receiver.deaf.set()
    first = tuned(server, small, "rpc", 1)
    assert (first.state, first.version) == (pb.JOB_STATE_SUCCEEDED, 1)
    server.wait_live("rpc", 1)

    until("the webhook's first try", lambda: receiver.tries)
    receiver.deaf.clear()
    headers, body = until("its second", lambda: receiver.tries[1] if len(receiver.tries) > 1 else None)
    assert headers["graft-event-id"] == receiver.tries[0][0]["graft-event-id"]
    at, _, digest = headers["graft-signature"].removeprefix("t=").partition(",v1=")
    assert digest == hmac.new(SECRET, at.encode() + b"." + body, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["type"], told["job"]["id"], told["job"]["version"]) == ("job.succeeded", first.id, 1)

    large = upload(server, digits.archive(75))
    asked = pb.EstimateJobRequest(head="rpc", base="digits", dataset=large.id)
    foretold = stub(server).EstimateJob(asked, timeout=60)
    assert (foretold.allowed, foretold.items, foretold.basis) == (True, 375, "earlier_jobs")
    second = tuned(server, large, "rpc", 2)
    took = second.finished.ToSeconds() - second.started.ToSeconds()
    assert foretold.seconds.low / 10 <= took <= foretold.seconds.high * 10, "the order of magnitude"
    print(f"foretold {foretold.seconds.low:.1f} to {foretold.seconds.high:.1f} s, it took {took} s")

    with pytest.raises(grpc.RpcError) as refused:
        stub(server).UploadDataset(iter([pb.UploadDatasetRequest(options={}), pb.UploadDatasetRequest(chunk=b"?")]))
    trailers = dict(refused.value.trailing_metadata())  # type: ignore[attr-defined]
    assert pb.Error.FromString(trailers["graft-error-bin"]).faults
    until("both are told", lambda: len({one["graft-event-id"] for one, _ in receiver.tries}) == 2)


def test_half_a_webhook_is_refused_at_the_start(repository: Path, tmp_path: Path) -> None:
    """An address without a secret, and a secret that is none."""
    short = tmp_path / "short"
    short.write_text("short")
    for flags, said in (
        (["--webhook-url", "http://localhost/"], "go together"),
        (["--webhook-url", "http://localhost/", "--webhook-secret-file", str(short)], "at least 16 bytes"),
        (["--webhook-url", "http://localhost/", "--webhook-secret-file", str(tmp_path / "none")], "No such file"),
        (["--webhook-url", "gopher://x/", "--webhook-secret-file", str(Path(__file__))], "has to begin with http"),
    ):
        command = [GRAFT, "serve", "--repository", str(repository), "--state", str(tmp_path / "s")]
        command += ["--rest-port", "0", "--grpc-port", "0", *flags]
        ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode in (1, 2), flags
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
