"""The command line's follower of a job, and the paths it asks for, with a server that goes away and comes back."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

import httpx
import pytest

from service.adapters import client
from service.adapters.client import ClientError
from service.adapters.client.following import events

Act = Callable[[], httpx.Response]


def told(*seqs: int, ends: bool = False) -> Act:
    """A stream with these events, broken off unless the job ends with it."""
    lines = [
        {"seq": seq, "type": "job.succeeded" if ends and seq == seqs[-1] else "job.phase", "message": ""}
        for seq in seqs
    ]
    body = "".join(f"id: {line['seq']}\nevent: {line['type']}\ndata: {json.dumps(line)}\n\n" for line in lines)
    return lambda: httpx.Response(200, text=body)


def stopping() -> httpx.Response:
    return httpx.Response(503, json={"error": {"code": "not_ready", "message": "the service is stopping"}})


def unknown() -> httpx.Response:
    return httpx.Response(404, json={"error": {"code": "job_not_found", "message": "there is no job"}})


def refusing() -> httpx.Response:
    raise httpx.ConnectError("connection refused")


class Server(httpx.BaseTransport):
    """Acts one after another, the last one for ever; keeps what was asked."""

    def __init__(self, *acts: Act) -> None:
        self._acts = list(acts)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return (self._acts.pop(0) if len(self._acts) > 1 else self._acts[0])()

    def follow(self, patience_s: float = 60.0) -> list[int]:
        with httpx.Client(base_url="http://graft", transport=self) as asking:
            return [event["seq"] for event in events(asking, "job-1", patience_s, 0.0)]


def test_a_follower_goes_on_where_it_was_when_the_server_is_back() -> None:
    server = Server(told(1, 2), stopping, refusing, told(3), told(), told(4, 5, ends=True))
    assert server.follow() == [1, 2, 3, 4, 5]
    assert [request.headers["last-event-id"] for request in server.asked] == ["0", "2", "2", "2", "3", "3"]


def test_a_follower_has_no_patience_without_end() -> None:
    for last, error in ((stopping, ClientError), (refusing, httpx.ConnectError), (told(), ClientError)):
        with pytest.raises(error):
            Server(told(1), last).follow(patience_s=0.05)


def test_a_server_that_never_answered_or_that_refuses_is_not_waited_for() -> None:
    for acts, error in (
        ([refusing], httpx.ConnectError),
        ([stopping], ClientError),
        ([unknown], ClientError),
        ([told(1), unknown], ClientError),
    ):
        server = Server(*acts)
        with pytest.raises(error):
            server.follow()
        assert len(server.asked) == len(acts)


@pytest.mark.parametrize("name", ["a/../b", "a?b#c", "é %2F"])
def test_a_name_is_one_segment_of_the_path(name: str) -> None:
    server = Server(unknown)
    with httpx.Client(base_url="http://graft", transport=server) as asking:
        for command in (
            ["predict", name, "[1]"],
            ["jobs", "show", name],
            ["jobs", "cancel", name],
            ["jobs", "watch", name],
            ["jobs", "events", name],
            ["datasets", "show", name],
            ["datasets", "delete", name],
        ):
            arguments = client_arguments(*command)
            with pytest.raises(ClientError):
                arguments.client(asking, arguments)
    for request in server.asked:
        assert request.url.raw_path.count(b"/") in (3, 4)
        segment = request.url.raw_path.split(b"/")[3].partition(b":")[0]
        assert httpx.URL(f"http://graft/{segment.decode()}").path == f"/{name}"


def client_arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    client.add_commands(parser.add_subparsers())
    return parser.parse_args(words)
