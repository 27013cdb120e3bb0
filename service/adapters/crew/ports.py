"""A port for several processes: found free once, and reserved for whoever shares it."""

from __future__ import annotations

import socket


def reserved(host: str, port: int) -> socket.socket:
    """A socket that holds the port (0 takes a free one) and never listens: workers bind it beside this one.

    Raises:
        OSError: somebody who is none of ours has it. Sharing would not fail, but give them a part of the requests.
    """
    if port:
        with _bound(host, port, shared=False):
            pass
    return _bound(host, port, shared=True)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return made
