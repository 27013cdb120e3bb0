"""Ray's HTTP interface for jobs over processes of this machine: as many at once as it has GPUs, the others wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAUSE_S = 0.02


class SmallRay:
    """Its jobs by name, each with what it was asked for and how it is; and what goes wrong with it."""

    def __init__(self, gpus: int) -> None:
        self.gpus = gpus
        self.jobs: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.wanted_gone: set[str] = set()
        self.broken = False
        """Whether it answers nothing but errors."""
        self.refuses: str | None = None
        self.lock = threading.RLock()
        self.closed = threading.Event()

    def submit(self, asked: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            name = asked["submission_id"]
            if self.refuses is not None:
                return 400, self.refuses
            if name in self.jobs:
                return 400, f"Job with submission_id {name} already exists."
            self.jobs[name] = {**asked, "status": "PENDING", "message": "Job has not started yet."}
            return 200, {"submission_id": name}

    def stop(self, name: str) -> None:
        """As Ray does: a signal to one at work, a note for one that waits."""
        with self.lock:
            self.wanted_gone.add(name)
            if name in self.processes:
                self.processes[name].send_signal(signal.SIGTERM)

    def forget(self) -> None:
        """Its head was started anew, and has kept nothing."""
        with self.lock:
            self.jobs.clear()

    def lose_node(self, name: str) -> None:
        """The machine a job is on goes: everything there at once, and Ray takes its time to see it."""
        with self.lock:
            process = self.processes.pop(name)
            self.jobs[name]["lost"] = True
        process.kill()
        process.wait()

    def keep(self) -> None:
        """What a scheduler does, until closed."""
        while not self.closed.wait(PAUSE_S):
            with self.lock:
                for name, process in list(self.processes.items()):
                    if (status := process.poll()) is not None:
                        del self.processes[name]
                        word = "STOPPED" if name in self.wanted_gone else "FAILED" if status else "SUCCEEDED"
                        self.jobs[name] |= {"status": word, "driver_exit_code": status, "message": f"exit {status}"}
                for name, job in self.jobs.items():
                    if job["status"] == "PENDING" and len(self.processes) < self.gpus:
                        self._start(name, job)

    def _start(self, name: str, job: dict[str, Any]) -> None:
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(len(self.processes))}
        self.processes[name] = subprocess.Popen(
            job["entrypoint"],
            shell=True,
            start_new_session=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        job |= {"status": "RUNNING", "driver_node_id": f"node-{len(self.processes)}"}


class _Door(BaseHTTPRequestHandler):
    ray: SmallRay

    def do_GET(self) -> None:
        job = self.ray.jobs.get(self.path.rsplit("/", 1)[1])
        self._answer(*((404, "does not exist") if job is None else (200, job)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/api/jobs/":
            self._answer(*self.ray.submit(json.loads(body)))
        else:
            name = self.path.split("/")[-2]
            self.ray.stop(name)
            self._answer(*((200, {"stopped": True}) if name in self.ray.jobs else (404, "does not exist")))

    def _answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(503 if self.ray.broken else status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *unused: Any) -> None:
        """Nobody reads it."""


@contextmanager
def small_ray(gpus: int = 1) -> Iterator[tuple[SmallRay, str]]:
    """One at work, and its URL; it leaves no process behind."""
    ray = SmallRay(gpus)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"ray": ray}))
    threads = [threading.Thread(target=work, daemon=True) for work in (server.serve_forever, ray.keep)]
    for thread in threads:
        thread.start()
    try:
        yield ray, f"http://127.0.0.1:{server.server_port}"
    finally:
        ray.closed.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
        for process in ray.processes.values():
            process.kill()
            process.wait()
