"""Publishing into a real S3 server: whole or not at all, one number each, one version a job, whoever dies when."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from published import write_version
from s3_server import OwnBucket
from serving_fakes import full_manifest
from unlucky_proxy import Luck, unlucky

from service.adapters.object_store import Bucket, StorePublisher
from service.adapters.object_store.stored_versions import versions_among
from service.adapters.object_store.sweeping import GRACE_S
from service.application.ports import GoldenPair
from service.domain.artifact import MANIFEST
from service.domain.errors import NotReady

PAIR = GoldenPair("serving_default", {"x": np.ones((2, 3), np.float32)}, {"y": np.zeros((2, 3), np.float32)})


def trained(publisher: StorePublisher, job: str, text: str = "graph") -> Path:
    """As a trainer leaves it in its outbox."""
    folder = publisher.outbox(job) / "m" / "1"
    files = {"saved_model.pb": text.encode(), "variables/variables.index": b"names", "assets/x": job.encode()}
    write_version(folder, full_manifest("d"), golden=PAIR, files=files)
    return folder


@pytest.fixture
def publisher(theirs: OwnBucket, tmp_path: Path) -> StorePublisher:
    return StorePublisher(theirs.ours(), tmp_path / "outbox")


def visible(theirs: OwnBucket) -> list[int]:
    return sorted(one.id.version for one in versions_among(theirs.ours().objects()).values() if one.committed)


def content(theirs: OwnBucket, place: str) -> dict[str, bytes]:
    return {key.removeprefix(place): theirs.read(key) for key in theirs.keys(place)}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_version_is_uploaded_as_it_is_under_the_next_number(publisher: StorePublisher, theirs: OwnBucket) -> None:
    folder = trained(publisher, "one")
    assert publisher.publish("one", "m", 1) == 1
    assert content(theirs, "m/1/") == on_disk(folder)
    trained(publisher, "two")
    assert publisher.publish("two", "m", 1) == 2
    assert theirs.keys("m/.publishing/") == []
    publisher.discard("one")
    publisher.discard("one")
    assert not folder.exists()


def test_asked_again_a_job_has_the_version_it_had(publisher: StorePublisher, theirs: OwnBucket, tmp_path: Path) -> None:
    trained(publisher, "one")
    elsewhere = StorePublisher(theirs.ours(), tmp_path / "elsewhere")
    trained(elsewhere, "one", "trained again, with other numbers")
    assert publisher.publish("one", "m", 1) == 1
    assert elsewhere.publish("one", "m", 1) == publisher.publish("one", "m", 1) == 1
    assert visible(theirs) == [1]
    theirs.remove("m/1/")
    assert publisher.publish("one", "m", 1) == 1
    assert visible(theirs) == [], "what somebody removed does not come back"


def test_many_publishers_at_once_have_a_number_each(theirs: OwnBucket, tmp_path: Path) -> None:
    publishers = [StorePublisher(theirs.ours(), tmp_path / f"replica-{number}") for number in range(8)]
    for number, one in enumerate(publishers):
        trained(one, f"job-{number}")
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda at: publishers[at].publish(f"job-{at}", "m", 1), range(8)))
    assert sorted(numbers) == visible(theirs)
    assert len(set(numbers)) == 8
    for at, number in enumerate(numbers):
        assert theirs.read(f"m/{number}/assets/x") == b"job-%d" % at


def test_many_attempts_of_one_job_at_once_make_one_version(theirs: OwnBucket, tmp_path: Path) -> None:
    publishers = [StorePublisher(theirs.ours(), tmp_path / f"replica-{number}") for number in range(6)]
    for number, one in enumerate(publishers):
        trained(one, "job", f"attempt {number}")
    with ThreadPoolExecutor(6) as threads:
        numbers = set(threads.map(lambda one: one.publish("job", "m", 1), publishers))
    assert len(numbers) == 1
    assert visible(theirs) == sorted(numbers)
    files = content(theirs, f"m/{numbers.pop()}/")
    digests = json.loads(files[str(MANIFEST)])["files"]
    assert set(digests) == set(files) - {str(MANIFEST)}
    assert [key for key in theirs.keys("m/") if ".publishing" in key] == []


def test_a_number_that_somebody_else_took_without_asking_is_passed_over(
    publisher: StorePublisher, theirs: OwnBucket
) -> None:
    theirs.put("m/7/saved_model.pb", b"put there by hand")
    theirs.put("m/.publishing/9", b"{}")
    trained(publisher, "one")
    assert publisher.publish("one", "m", 1) == 10
    assert theirs.read("m/7/saved_model.pb") == b"put there by hand"


PUTS = [
    *(f"/m/1/{path}" for path in ("saved_model.pb", "variables/variables.index", "assets/x")),
    "/m/.publishing/1",
    "/m/.published/one",
    f"/m/1/{MANIFEST}",
]


@pytest.mark.parametrize("path", PUTS)
@pytest.mark.parametrize("reached", [True, False], ids=["it arrived", "it did not"])
def test_an_upload_that_fails_anywhere_shows_nothing_and_the_next_attempt_makes_one_version(
    theirs: OwnBucket, tmp_path: Path, path: str, reached: bool
) -> None:
    """The same as a kill at that place, but for what memory forgets: the second attempt is another object's."""
    luck = Luck(lambda method, asked: method == "PUT" and asked.endswith(path))
    if reached:
        luck.status_after = 500
    else:
        luck.status = 500
    with unlucky(theirs.endpoint, luck) as address:
        first = StorePublisher(theirs.ours(address), tmp_path / "outbox")
        trained(first, "one")
        with pytest.raises(NotReady, match="cannot be published"):
            first.publish("one", "m", 1)
    # Only the manifest makes a version: it is there when, and only when, that was what got lost on the way back.
    assert visible(theirs) == ([1] if reached and path.endswith(str(MANIFEST)) else [])
    second = StorePublisher(theirs.ours(), tmp_path / "outbox")
    number = second.publish("one", "m", 1)
    assert visible(theirs) == [number]
    assert content(theirs, f"m/{number}/") == on_disk(tmp_path / "outbox/one/m/1")
    if path in PUTS[-2:]:
        assert number == 1 or path == "/m/.published/one", "what was decided is finished, not begun anew"


PROGRAM = """
import sys
from pathlib import Path
from service.adapters.object_store import Bucket, StorePublisher
StorePublisher(Bucket(sys.argv[1], sys.argv[2]), Path(sys.argv[3])).publish("one", "m", 1)
"""


@pytest.mark.parametrize("path", [PUTS[0], *PUTS[-3:]])
def test_killed_while_it_uploads_it_leaves_nothing_to_be_seen_and_the_next_attempt_makes_one_version(
    theirs: OwnBucket, tmp_path: Path, path: str
) -> None:
    luck = Luck(lambda method, asked: method == "PUT" and asked.endswith(path), gate=threading.Event())
    second = StorePublisher(theirs.ours(), tmp_path / "outbox")
    folder = trained(second, "one")
    with unlucky(theirs.endpoint, luck) as address:
        first = subprocess.Popen([sys.executable, "-c", PROGRAM, theirs.url, address, str(tmp_path / "outbox")])
        assert luck.reached.wait(60)
        first.kill()
        first.wait()
        assert visible(theirs) == []
        number = second.publish("one", "m", 1)
        assert visible(theirs) == [number]
    # What was on its way when it was killed may have arrived by now.
    assert visible(theirs) == [number]
    assert content(theirs, f"m/{number}/") == on_disk(folder)


def test_an_upload_that_takes_too_long_gives_up_before_anybody_takes_it_for_dead(
    theirs: OwnBucket, tmp_path: Path
) -> None:
    times = iter([0.0, GRACE_S])
    publisher = StorePublisher(theirs.ours(), tmp_path / "outbox", lambda: next(times))
    trained(publisher, "one")
    with pytest.raises(NotReady, match="took longer"):
        publisher.publish("one", "m", 1)
    assert visible(theirs) == []


def test_a_store_that_is_not_there_is_not_ready(tmp_path: Path, theirs: OwnBucket) -> None:
    publisher = StorePublisher(Bucket("s3://nobody-has-this/models", theirs.endpoint), tmp_path / "outbox")
    trained(publisher, "one")
    with pytest.raises(NotReady):
        publisher.publish("one", "m", 1)
