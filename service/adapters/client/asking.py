"""Asking a server, and what its answers mean for whoever sits before a shell."""

from __future__ import annotations

import math
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console

DEFAULT_URL = "http://127.0.0.1:8501"
Command = Callable[[httpx.Client, Namespace], int]


class ClientError(Exception):
    """The server refused, or could not be reached; the text says what and, where the server said it, where."""


def asking(url: str) -> httpx.Client:
    """A client of the server there. It waits for answers as long as they take: a large upload is checked first."""
    return httpx.Client(base_url=url, timeout=httpx.Timeout(60.0, read=None))


def command(commands: Any, name: str, help: str, run: Command) -> ArgumentParser:
    """A command of its own."""
    parser: ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--url", default=DEFAULT_URL, help=_WHERE)
    parser.set_defaults(client=run)
    return parser


def subcommand(commands: Any, name: str, help: str, run: Command) -> ArgumentParser:
    """A command within one; the address may be given before it or after it."""
    parser: ArgumentParser = commands.add_parser(name, help=help, description=help)
    parser.add_argument("--url", default=SUPPRESS, help=_WHERE)
    parser.set_defaults(client=run)
    return parser


def number(text: str) -> float:
    """An argument that JSON can say. Raises: ValueError."""
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(text)
    return found


def segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def answer(response: httpx.Response) -> Any:
    """The body of a good answer, None where it has none. Raises: ClientError with all that the server said is wrong."""
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    try:
        body = response.json()
    except ValueError as error:
        raise ClientError(f"the server answered {response.status_code} and no JSON: {response.text[:200]}") from error
    if response.is_success:
        return body
    problem = body.get("error", body)
    if isinstance(problem, str):
        raise ClientError(problem)
    lines = [str(problem.get("message", problem))]
    lines += [f"  {fault.get('place', '')}: {fault['message']}" for fault in problem.get("details", ())]
    raise ClientError("\n".join(lines))


def console() -> Console:
    """Standard output; a pipe has no width to fit into, and what reads it wants whole names."""
    return Console(width=None if sys.stdout.isatty() else 200)


_WHERE = f"where the server's REST port is (default {DEFAULT_URL})"
