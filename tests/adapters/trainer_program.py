"""A trainer that does what its recipe's ``acts`` say, as a program: the least that keeps the real one's manners.

job WORKDIR            (- reads its name from standard input and complains to its log)
                       locks WORKDIR/lock, ends with its standard input, prints the domain's event lines
turn WORKDIR TURN      job WORKDIR under the real launcher of trainers on a cluster
check FILE --json      FILE's text is what the check "finds": a report to print, or a word for what goes wrong
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HELD: list[bytearray] = []


def told_workdir() -> Path:
    line = b""
    while not line.endswith(b"\n"):
        if not (read := os.read(0, 1)):
            sys.exit(0)
        line += read
    workdir = Path(line[:-1].decode())
    os.dup2(os.open(workdir / "trainer.log", os.O_WRONLY | os.O_APPEND), 2)
    return workdir


def job(workdir: Path) -> int:
    lock = os.open(workdir / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another trainer is at work", file=sys.stderr)
        return 9
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    with (workdir / "runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    acts = json.loads((workdir / "task.json").read_text())["recipe"]["acts"]
    if not any(name == "deaf" for act in acts for name in act):
        threading.Thread(target=end_with_stdin, daemon=True).start()
    status = 0
    for act in acts:
        for name, value in act.items():
            status = perform(name, value, workdir, status)
    return status


def perform(name: str, value: object, workdir: Path, status: int) -> int:
    match name:
        case "say":
            print(json.dumps(value), flush=True)
            return 1 if value["event"] == "failed" else status
        case "print":
            print(value, flush=True)
        case "complain":
            print(value, file=sys.stderr, flush=True)
        case "ignore_sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "on_sigterm_say":
            signal.signal(signal.SIGTERM, lambda *_: (print(json.dumps(value), flush=True), os._exit(0)))
        case "start_another":
            ignoring = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
            child = subprocess.Popen([sys.executable, "-c", ignoring], start_new_session=value == "elsewhere")
            print(json.dumps({"event": "warning", "message": "child", "data": {"pid": child.pid}}), flush=True)
        case "crash_before_run":
            if len((workdir / "runs").read_text().split()) < value:
                os.kill(os.getpid(), signal.SIGKILL)
        case "once":
            if not (workdir / f"once-{value}").exists():
                (workdir / f"once-{value}").touch()
                time.sleep(600)
        case "hold_mb":
            HELD.append(bytearray(os.urandom(1 << 20) * value))
        case "pause":
            time.sleep(value)
        case "hang":
            time.sleep(600)
        case "exit":
            sys.stdout.flush()
            os._exit(value)
        case "deaf":
            pass
    return status


def end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def check(file: Path, options: list[str]) -> int:
    text = file.read_text(errors="replace")
    match text:
        case "crash":
            print("it broke here", file=sys.stderr)
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            (file.parent / "checking").write_text(str(os.getpid()))
            time.sleep(600)
        case "options":
            print(json.dumps(options), file=sys.stderr)
            return 3
    print(text)
    return 0


if __name__ == "__main__":
    command, what, *options = sys.argv[1:]
    if command == "check":
        sys.exit(check(Path(what), options))
    if command == "turn":
        from training.turn import take_turn

        sys.exit(take_turn(Path(what), options[0], (sys.executable, __file__)))
    sys.exit(job(told_workdir() if what == "-" else Path(what)))
