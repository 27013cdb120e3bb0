"""The command line's side of the REST API: what is served and by which version, tuning, datasets and jobs."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

import httpx

from service.adapters.client import datasets, directions, jobs, models, tune
from service.adapters.client.asking import ClientError, asking

__all__ = ["ClientError", "add_commands", "run"]
INTERRUPTED = 130


def add_commands(commands: Any) -> None:
    """The client's commands, on the parser's list of commands; each sets ``client``."""
    for room in (models, directions, tune, jobs, datasets):
        room.add_commands(commands)


def run(arguments: Namespace) -> int:
    """Run the chosen command and return the process's exit status."""
    try:
        with asking(arguments.url) as client:
            status: int = arguments.client(client, arguments)
            return status
    except ClientError as error:
        print(f"graft: {error}", file=sys.stderr)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"graft: {arguments.url} cannot be reached: {error}", file=sys.stderr)
    except OSError as error:
        print(f"graft: {error.filename}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 1
