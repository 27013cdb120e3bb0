"""``graft bench``: its flags, and what it prints. Everything it needs beyond them is brought in when it runs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.adapters.load_test.findings import Findings
    from service.adapters.load_test.plan import Plan, Question, Target

_VARIETY = 8
"""So many different requests are made and sent in turn."""
_TEXT = "measure a server: requests a second, latencies, errors; any server that speaks TensorFlow Serving's API"
_BUSY = 0.9
"""A sender that computes more than this share of the time may be what was measured."""


def add_command(commands: Any) -> None:
    """The command, on the parser's list of commands."""
    bench: ArgumentParser = commands.add_parser("bench", help=_TEXT, description=_TEXT)
    bench.add_argument("address", metavar="URL|ADDRESS", help="http://HOST:PORT, or HOST:PORT with --grpc")
    bench.add_argument("--model", required=True, help="the model's name")
    bench.add_argument("--signature", default="serving_default", help="the signature to call")
    bench.add_argument("--grpc", action="store_true", help="raw tensors over gRPC instead of JSON over REST")
    bench.add_argument("--clients", type=_above(int), default=16, help="connections, one request at a time on each")
    bench.add_argument("--seconds", type=_above(float), default=10.0, help="how long to measure")
    bench.add_argument("--warm-up", type=_above(float), default=2.0, help="seconds before that, which do not count")
    bench.add_argument("--rows", type=_above(int), default=1, help="rows of made inputs a request")
    bench.add_argument("--rate", type=_above(float), help="requests a second, sent on a schedule whatever the answers "
                       "take; latencies count from when a request was due")  # fmt: skip
    bench.add_argument("--json-file", type=Path, metavar="FILE", help="a request to send instead of made ones: a list "
                       "of instances, or a whole body")  # fmt: skip
    bench.add_argument("--timeout", type=_above(float), default=60.0, help="seconds until a request counts as lost")
    bench.add_argument("--processes", type=_above(int), help="processes to send from (half the cores)")


def _above(kind: Callable[[str], float]) -> Callable[[str], float]:
    """A number above nought."""

    def number(text: str) -> float:
        value = kind(text)
        if not value > 0 or value == float("inf"):
            raise ArgumentTypeError(f"{text} is not a number above 0")
        return value

    number.__name__ = kind.__name__
    return number


def run(arguments: Namespace) -> int:
    """Ask what the model takes, try one request, send the load, print what came of it.

    Returns the exit status: 0 when any request was answered well.
    """
    from service.adapters.load_test.plan import LoadTestError, Plan
    from service.adapters.load_test.processes import measure

    try:
        target = _target(arguments.address, arguments.grpc)
        questions = _questions(arguments, target)
        plan = Plan(
            target,
            questions,
            arguments.clients,
            arguments.seconds,
            arguments.warm_up,
            arguments.rate,
            arguments.timeout,
        )
        print(_headline(arguments, plan), flush=True)
        findings = measure(plan, arguments.processes)
    except LoadTestError as error:
        print(f"graft: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"graft: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("graft: stopped", file=sys.stderr)
        return 130
    print(_report(findings, plan))
    return 0 if findings.answered else 1


def _target(address: str, grpc: bool) -> Target:
    """Where to. Raises: LoadTestError."""
    from urllib.parse import urlsplit

    from service.adapters.load_test.plan import LoadTestError, Target

    if grpc and "://" in address:
        raise LoadTestError(f"over gRPC the address is HOST:PORT, not {address}")
    if grpc:
        return Target("grpc", address)
    place = urlsplit(address if "://" in address else f"http://{address}")
    if place.scheme not in ("http", "https") or not place.hostname or place.path.strip("/"):
        raise LoadTestError(f"{address} is not http://HOST:PORT")
    return Target("rest", f"{place.scheme}://{place.netloc}")


def _questions(arguments: Namespace, target: Target) -> tuple[Question, ...]:
    """What to send, tried once. Raises: LoadTestError, OSError."""
    from service.adapters.load_test import questions
    from service.adapters.load_test.metadata import GrpcDoor, RestDoor

    model, signature = arguments.model, arguments.signature
    door = RestDoor(target) if target.door == "rest" else GrpcDoor(target)
    specs = door.specs(model, signature)
    if arguments.json_file is not None:
        requests = [questions.from_json(arguments.json_file.read_text(), specs, signature)]
    else:
        tensors = [questions.made(specs, arguments.rows, seed) for seed in range(_VARIETY)]
        requests = [(questions.as_json(one, specs, signature), one) for one in tensors]
    asked = tuple(
        door.question(model, body) if isinstance(door, RestDoor) else door.question(model, signature, tensors)
        for body, tensors in requests
    )
    door.attempt(asked[0])
    return asked


def _headline(arguments: Namespace, plan: Plan) -> str:
    door = "gRPC" if plan.target.door == "grpc" else "REST"
    loop = "as fast as answers come" if plan.rate is None else f"{plan.rate:g} requests/s on schedule"
    size = len(plan.questions[0].body)
    return (
        f"{arguments.model} over {door} at {plan.target.address}: requests of {size:,} bytes, {plan.clients} clients, "
        f"{loop}, {plan.seconds:g} s after {plan.warm_s:g} s of warm-up"
    )


def _report(findings: Findings, plan: Plan) -> str:
    asked = "" if plan.rate is None else f" of {plan.rate:g} asked"
    lines = [f"requests/s  {findings.per_second:,.1f}{asked}"]
    if findings.latencies_s.size:
        found = "  ".join(f"p{percent:g} {findings.percentile_ms(percent):.2f}" for percent in (50, 90, 99, 99.9))
        lines.append(f"latency ms  {found}  max {findings.percentile_ms(100):.2f}")
    errors = ", ".join(f"{code}: {number:,}" for code, number in sorted(findings.errors.items()))
    lines.append(f"errors      {errors or 'none'}")
    if findings.busiest_sender > _BUSY:
        lines.append(
            f"A sending process computed {findings.busiest_sender:.0%} of the time: the server may be capable of more. "
            "Send from more --processes, or from another machine."
        )
    return "\n".join(lines)
