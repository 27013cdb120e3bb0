"""A proxy in front of an S3 server on which whatever can go wrong with a store goes wrong when a test says so."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Wanted = Callable[[str, str], bool]
"""Whether a request, by its method and path, is meant."""


@dataclass
class Luck:
    """What happens to requests that are meant."""

    meant: Wanted = lambda method, path: False
    status: int = 0
    """Answer with this; 0 lets it through."""
    status_after: int = 0
    """Let it through, and answer with this all the same."""
    cut: int = 0
    """So many bytes of the body are lost, and the connection with them."""
    changed: bool = False
    """The body's first byte is another one."""
    gate: threading.Event | None = None
    """Wait for it before anything is sent on."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when the first such request has come."""
    after: Callable[[str], None] | None = None
    """Done with the path once the request was answered by the server, and before anyone hears of it."""
    seen: Counter[str] = field(default_factory=Counter)


@contextmanager
def unlucky(endpoint: str, luck: Luck) -> Iterator[str]:
    """The proxy's address."""
    server = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self._body()
            path = unquote(urlsplit(self.path).path)
            meant = luck.meant(self.command, path)
            luck.seen[f"{self.command} list" if "list-type" in self.path else self.command] += 1
            if meant:
                luck.reached.set()
            if meant and luck.gate is not None:
                luck.gate.wait(60)
            if meant and luck.status:
                self._answer(luck.status, {}, b"")
                return
            there = http.client.HTTPConnection(server.hostname or "", server.port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            there.request(self.command, self.path, body, headers)
            answer = there.getresponse()
            content = answer.read()
            there.close()
            if meant and luck.status_after:
                self._answer(luck.status_after, {}, b"")
                return
            if meant and luck.after is not None:
                luck.after(path)
            if meant and luck.changed and content:
                content = bytes([content[0] ^ 1]) + content[1:]
            self._answer(answer.status, dict(answer.getheaders()), content, luck.cut if meant else 0)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("content-length", 0)))

        def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: int = 0) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", str(len(content))) if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) - cut])
            if cut:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
    finally:
        if luck.gate is not None:
            luck.gate.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
