"""The HTTP server: uvicorn on the event loop that is there already, started and stopped by us, not by signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from service.adapters.rest.app import RestApplication
from service.adapters.rest.http_limits import HttpLimits, protocol


class _Embedded(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service, which has more to stop than this server."""
        yield


class HttpServer:
    """Serves one ASGI application."""

    def __init__(
        self, app: RestApplication, host: str, port: int, grace_s: float, limits: HttpLimits, *, shared: bool = False
    ) -> None:
        """Bind the address; port 0 takes a free one. ``shared``: other workers bind it, too.

        Raises:
            OSError: the address is taken.
        """
        # The protocol is named, because asyncio turns Nagle's delay off only on sockets that say they are TCP.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"REST cannot listen on {host}:{port}: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            # A maker of connections is all that uvicorn asks for, though it calls it a class.
            http=protocol(limits, app.direct, app.draining),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        self._server = _Embedded(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept connections."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("the HTTP server ended before it began")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Close idle connections, finish the requests accepted, cut off what outlasts the grace."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
