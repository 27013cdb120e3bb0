"""Trials are held elsewhere, once, and what they found is kept; whatever goes wrong there, TensorFlow answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine_models
import numpy as np
import pytest
from once import once

from service.adapters.engines.engine_cache import EngineCache, content_of
from service.adapters.engines.findings import (
    VERDICTS,
    Accepted,
    Damaged,
    Places,
    Refused,
    read_verdicts,
    write_verdicts,
)
from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.trials import TrialFailed, Trials
from service.adapters.engines.trials.trial import Disagreement, Task, compared
from service.application.ports import GoldenPair
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Tensors

ROWS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
ANSWER = [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]
TENSORFLOW = TensorFlowEngine()
NEVER = (sys.executable, "-c", "raise SystemExit('nobody was to ask')")
TASK = Task("nowhere", ["serve"], ["serving_default"], "f32", 1, False, "nowhere", {})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "beside-text", engine_models.beside_text)


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    trials = Trials()
    yield trials
    trials.close()


def engine_with(trials: Trials, cache: Path | None) -> SavedModelEngine:
    return SavedModelEngine(TENSORFLOW, trials, EngineCache(cache, 1 << 30), EngineWish())


def answers(engine: SavedModelEngine, model: Path) -> str:
    """What runs the default signature, once it has answered."""
    graph = engine.load(model)
    assert graph.run(DEFAULT_SIGNATURE, ROWS)["y"].tolist() == ANSWER
    graph.close()
    return graph.choices[DEFAULT_SIGNATURE].engine


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_what_was_found_is_not_tried_again(trials: Trials, model: Path, tmp_path: Path) -> None:
    assert answers(engine_with(trials, tmp_path), model) == "openvino"
    assert answers(engine_with(Trials(NEVER), tmp_path), model) == "openvino"


def test_what_stays_on_tensorflow_is_not_tried_again_either(trials: Trials, tmp_path: Path) -> None:
    model = tmp_path / "model"
    engine_models.disagreeable(model)
    cache = tmp_path / "engines"
    first, second = engine_with(trials, cache).load(model), engine_with(Trials(NEVER), cache).load(model)
    assert first.choices == second.choices
    first.close()
    second.close()


@pytest.mark.parametrize("file", [VERDICTS, "0.compiled"])
@pytest.mark.parametrize("harm", ["gone", "empty", "half", "other"])
def test_what_is_damaged_is_made_anew(trials: Trials, model: Path, tmp_path: Path, file: str, harm: str) -> None:
    answers(engine_with(trials, tmp_path), model)
    (kept,) = tmp_path.iterdir()
    whole = (kept / file).read_bytes()
    match harm:
        case "gone":
            (kept / file).unlink()
        case "empty":
            (kept / file).write_bytes(b"")
        case "half":
            (kept / file).write_bytes(whole[: len(whole) // 2])
        case _:
            (kept / file).write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert answers(engine_with(trials, tmp_path), model) == "openvino"
    assert answers(engine_with(Trials(NEVER), tmp_path), model) == "openvino", "and is whole again"


def test_another_golden_pair_another_precision_and_other_lanes_are_other_findings(
    trials: Trials, model: Path, tmp_path: Path
) -> None:
    cache = EngineCache(tmp_path, 1 << 30)
    golden = GoldenPair(DEFAULT_SIGNATURE, ROWS, {"y": np.array(ANSWER)})
    for wish, pair in (
        (EngineWish(), None),
        (EngineWish(), golden),
        (EngineWish(lanes=2), None),
        (EngineWish(precision="bf16"), None),
    ):
        SavedModelEngine(TENSORFLOW, trials, cache, wish, lambda directory, pair=pair: pair).load(model).close()
    assert len(list(tmp_path.iterdir())) == 4


class Counting(Trials):
    """Trials that say what they were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[str] = []

    def hold(self, task: Task) -> None:
        self.held.append(task.directory)
        super().hold(task)


def test_of_several_that_want_the_same_one_holds_the_trial_and_the_others_wait_for_it(
    model: Path, tmp_path: Path
) -> None:
    several = [Counting() for _ in range(3)]
    with ThreadPoolExecutor(len(several)) as threads:
        found = list(threads.map(lambda trials: answers(engine_with(trials, tmp_path), model), several))
    assert found == ["openvino"] * len(several)
    assert sum(len(trials.held) for trials in several) == 1
    assert len(list(tmp_path.iterdir())) == 1, "and no lock is left"
    for trials in several:
        trials.close()


def test_who_dies_over_a_trial_lets_others_hold_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, threading\n"
        "from service.adapters.engines.engine_cache import EngineCache\n"
        "with EngineCache(pathlib.Path(sys.argv[1]), 1).alone('key'):\n"
        "    print('alone', flush=True)\n"
        "    threading.Event().wait()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "alone\n"
        taken = threading.Event()

        def take() -> None:
            with EngineCache(tmp_path, 1).alone("key"):
                taken.set()

        with ThreadPoolExecutor(1) as thread:
            taking = thread.submit(take)
            assert not taken.wait(0.1)
            other.kill()
            taking.result(60)


def test_the_least_recently_used_go_when_there_is_too_much(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, 250)
    for at, key in enumerate(("a", "b", "c", "d")):
        with cache.scratch() as scratch:
            (scratch / "graph").write_bytes(b"-" * 100)
            kept = cache.keep(scratch, key)
        os.utime(kept, (at, at))
    assert {place.name for place in tmp_path.iterdir()} == {"c", "d"}
    assert cache.find("c") is not None, "and is used"
    with cache.scratch() as scratch:
        (scratch / "graph").write_bytes(b"-" * 100)
        cache.keep(scratch, "e")
    assert {place.name for place in tmp_path.iterdir()} == {"c", "e"}


def test_the_newest_stays_even_when_it_alone_is_too_much(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, 10)
    with cache.scratch() as scratch:
        (scratch / "graph").write_bytes(b"-" * 100)
        assert cache.keep(scratch, "large") == tmp_path / "large"
    assert cache.find("large")


def test_of_two_processes_that_try_the_same_the_second_gives_way(tmp_path: Path) -> None:
    one, other = EngineCache(tmp_path, 1 << 30), EngineCache(tmp_path, 1 << 30)
    with one.scratch() as first, other.scratch() as second:
        for scratch, text in ((first, "first"), (second, "second")):
            (scratch / "graph").write_text(text)
        assert one.keep(first, "key") == tmp_path / "key"
        assert (other.keep(second, "key") / "graph").read_text() == "second", "this time it has its own"
    assert [(place.name, (place / "graph").read_text()) for place in tmp_path.iterdir()] == [("key", "first")]


@pytest.mark.parametrize("cache", [None, Path("/proc/nowhere")], ids=["none", "unwritable"])
def test_without_a_place_to_keep_anything_it_is_tried_each_time(
    trials: Trials, model: Path, cache: Path | None
) -> None:
    assert answers(engine_with(trials, cache), model) == "openvino"


def test_the_digest_is_of_all_that_decides_answers(tmp_path: Path, model: Path) -> None:
    before = content_of(model)
    (tmp_path / "other").mkdir()
    assert content_of(tmp_path / "other") != before
    assert content_of(model) == before


def test_verdicts_come_back_as_they_were_written(tmp_path: Path) -> None:
    verdicts = {
        "a": Accepted(Places({"x": 0}, {"y": 1}, {"x": 7}), "0.compiled", "digest", 1e-6, None),
        "b": Refused("no"),
    }
    write_verdicts(tmp_path, verdicts)
    assert read_verdicts(tmp_path) == verdicts
    for text in ("[]", "{", '{"a": {}}', '{"a": 1}'):
        (tmp_path / VERDICTS).write_text(text)
        with pytest.raises(Damaged):
            read_verdicts(tmp_path)


# --- The process that holds them --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("input(); raise SystemExit(4)", "ended with status 4"),
        ("input(); print('\"it cannot be done\"', flush=True); input()", "it cannot be done"),
        ("input(); import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "takes too much computing"),
    ],
    ids=["at once", "killed", "at work", "refused", "endless"],
)
def test_when_no_trial_can_be_held_tensorflow_answers_and_says_why(
    model: Path, tmp_path: Path, program: str, said: str
) -> None:
    failing = Trials((sys.executable, "-c", program))
    graph = engine_with(failing, tmp_path).load(model)
    assert graph.run(DEFAULT_SIGNATURE, ROWS)["y"].tolist() == ANSWER
    assert graph.choices[DEFAULT_SIGNATURE].engine == "tensorflow"
    assert said in graph.choices[DEFAULT_SIGNATURE].reason
    assert not list(tmp_path.iterdir()), "and it is tried again at the next start"
    graph.close()
    failing.close()


def test_a_process_that_has_ended_meanwhile_is_started_again() -> None:
    once_only = "input(); print('null', flush=True)"
    trials = Trials((sys.executable, "-c", once_only))
    for _ in range(3):
        trials.hold(TASK)
    trials.close()


def test_a_process_that_has_ended_by_itself_does_not_stay_in_the_process_table() -> None:
    trials = Trials((sys.executable, "-c", "input(); print('null', flush=True)"))
    trials.hold(TASK)
    assert trials._process is not None
    place = Path(f"/proc/{trials._process.pid}")
    end = time.monotonic() + 60
    while place.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not place.exists()


def test_a_step_that_computes_for_longer_than_it_may_is_ended() -> None:
    program = "from service.adapters.engines.trials.process import allow\nallow(100)\nallow(1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", program], timeout=120, check=False)
    assert done.returncode == -signal.SIGXCPU


def test_one_process_serves_many_and_one_after_another() -> None:
    echo = "import sys\nfor at, _ in enumerate(sys.stdin): print('null' if at < 8 else '\"too many\"', flush=True)"
    trials = Trials((sys.executable, "-c", echo))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: trials.hold(TASK), range(8)))
    with pytest.raises(TrialFailed, match="too many"):
        trials.hold(TASK)
    trials.close()
    with pytest.raises(TrialFailed, match="ending"):
        trials.hold(TASK)


def test_a_trial_under_way_ends_with_the_service() -> None:
    trials = Trials((sys.executable, "-c", "input(); import threading; threading.Event().wait()"))
    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(trials.hold, TASK)
        while trials._process is None:  # it starts on the other thread
            pass
        trials.close()
        with pytest.raises(TrialFailed):
            held.result(60)


def test_it_ends_with_whoever_started_it() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, threading\n"
            "child = subprocess.Popen([sys.executable, '-m', 'service.adapters.engines.trials.process'],"
            " stdin=subprocess.PIPE)\n"
            "print(child.pid, flush=True)\n"
            "threading.Event().wait()",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    import select

    ended, _, _ = select.select([descriptor], [], [], 120)
    os.close(descriptor)
    assert ended


def test_a_model_that_tensorflow_cannot_load_does_not_load(trials: Trials, model: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(model, tmp_path / "model"))
    (copy / "variables" / "variables.index").unlink()
    with pytest.raises(ModelFailed, match="TensorFlow cannot load it"):
        engine_with(trials, tmp_path / "engines").load(copy)


# --- Without TensorFlow -----------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from service.adapters.engines.engine_cache import EngineCache
from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.trials import Trials
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.domain.batches import BatchLimits
sys.path.insert(0, "tests/support")
from serving_fakes import RecordingObserver

model, cache = map(Path, sys.argv[1:])
trials, lanes = Trials(), Lanes(1)
engine = SavedModelEngine(TensorFlowEngine(), trials, EngineCache(cache, 1 << 30), EngineWish())
graphs = SharedGraphs(engine, lanes, BatchLimits(), RecordingObserver())
shared = graphs.acquire("k", model, published=True)
shared.warm_up("serving_default", None)
print(shared.graph.run("serving_default", {"x": np.ones((1, 3), np.float32)})["y"].tolist())
print("tensorflow" in sys.modules, shared.batchers["parsed"].together)
try:
    shared.graph.run("parsed", {"wrong": np.zeros(1)})
except Exception as error:
    print(type(error).__name__, "tensorflow" in sys.modules)
print(shared.graph.run("parsed", {"text": np.array([b"21"], object)})["y"].tolist())
print("tensorflow" in sys.modules)
graphs.release(shared)
lanes.close()
trials.close()
"""


@pytest.mark.parametrize("kept", [False, True], ids=["first start", "restart"])
def test_tensorflow_comes_in_with_the_first_request_that_needs_it(
    trials: Trials, model: Path, tmp_path: Path, kept: bool
) -> None:
    if kept:
        answers(engine_with(trials, tmp_path), model)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "[[2.0, 2.0, 2.0]]",
        "False True",
        "InvalidInput False",
        "[42.0]",
        "True",
    ], done.stderr[-3000:]


def test_what_is_loaded_late_must_be_what_was_loaded(trials: Trials, tmp_path: Path) -> None:
    model = tmp_path / "model"
    engine_models.beside_text(model)
    graph = engine_with(trials, tmp_path / "engines").load(model)
    (model / "saved_model.pb").write_bytes((model / "saved_model.pb").read_bytes() + b"\n\x00")
    with pytest.raises(ModelFailed, match="its files have changed"):
        graph.run("parsed", {"text": np.array([b"1"], object)})
    assert graph.run(DEFAULT_SIGNATURE, ROWS)["y"].tolist() == ANSWER
    graph.close()


# --- Comparing --------------------------------------------------------------------------------------------------------


def doubled(inputs: Tensors) -> dict[str, Array]:
    return {"y": inputs["x"] * np.float32(2)}


def off_by(share: float) -> object:
    return lambda inputs: {"y": inputs["x"] * np.float32(2) + np.float32(share) * inputs["x"].std()}


def test_the_largest_difference_of_all_cases_is_told() -> None:
    found = compared(doubled, off_by(1e-4), [ROWS, {"x": ROWS["x"] * 10}], exact=True)  # type: ignore[arg-type]
    assert found.difference == pytest.approx(5e-5, rel=0.01)
    assert found.agreement == 1.0


def test_what_is_too_far_off_is_refused_unless_that_was_asked_for() -> None:
    with pytest.raises(Disagreement, match="is off by"):
        compared(doubled, off_by(0.1), [ROWS], exact=True)  # type: ignore[arg-type]
    assert compared(doubled, off_by(0.1), [ROWS], exact=False).difference == pytest.approx(0.05, rel=0.01)  # type: ignore[arg-type]


@pytest.mark.parametrize("exact", [True, False])
def test_no_precision_excuses_what_is_no_number_or_of_another_shape(exact: bool) -> None:
    for wrong in (np.full((2, 3), np.nan, np.float32), np.zeros((2, 2), np.float32), np.zeros((2, 3))):
        with pytest.raises(Disagreement):
            compared(doubled, lambda inputs, wrong=wrong: {"y": wrong}, [ROWS], exact=exact)


def test_what_only_a_second_run_shows_is_seen() -> None:
    runs = iter(range(100))
    with pytest.raises(Disagreement):
        compared(lambda inputs: {"y": inputs["x"] + next(runs)}, lambda inputs: {"y": inputs["x"]}, [ROWS], exact=True)


def refusing(inputs: Tensors) -> dict[str, Array]:
    raise InvalidInput("not these")


def test_both_must_refuse_the_same() -> None:
    with pytest.raises(Disagreement, match="answers inputs that TensorFlow refuses: not these"):
        compared(refusing, doubled, [ROWS], exact=True)
    with pytest.raises(Disagreement, match="refuses inputs that TensorFlow answers: not these"):
        compared(doubled, refusing, [ROWS], exact=True)
    with pytest.raises(Disagreement, match="no generated input suits it"):
        compared(refusing, refusing, [ROWS], exact=True)
