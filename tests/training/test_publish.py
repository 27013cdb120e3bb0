"""Publishing is whole or nothing, takes the next number, and happens once a job."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from service.domain.artifact import CHECKSUMS, MANIFEST, InputKind, InputSpec, Manifest, ModelKind
from training.errors import BadArtifact
from training.publish import Candidate, publish, versions
from training.verify import damage


def candidate(files: Path, job: str | None = None) -> Candidate:
    """Something small to publish."""
    files.mkdir(exist_ok=True)
    (files / "saved_model.pb").write_bytes(b"graph" * 1000)
    (files / "variables").mkdir(exist_ok=True)
    (files / "variables" / "data").write_bytes(bytes(200_000))
    manifest = Manifest(
        kind=ModelKind.BASE,
        task="multiclass",
        labels=("a", "b"),
        input=InputSpec(InputKind.VECTOR, (2,)),
        digest="",
        files={},
        features={"dense": 3},
        provenance={"job_id": job},
    )
    return Candidate("m", files, manifest, {PurePosixPath("assets.extra/graft/report.json"): b"{}"})


def sound(directory: Path) -> None:
    assert damage(directory) is None


def test_numbers_grow_over_whatever_is_there(tmp_path: Path) -> None:
    made = candidate(tmp_path / "files")
    assert publish(tmp_path / "repo", made, sound) == 1
    (tmp_path / "repo" / "m" / "7").mkdir()
    (tmp_path / "repo" / "m" / "notes").mkdir()
    assert publish(tmp_path / "repo", made, sound) == 8
    home = tmp_path / "repo" / "m"
    assert versions(home) == [1, 7, 8]
    assert damage(home / "8") is None
    check = subprocess.run(
        ["sha256sum", "--check", "--quiet", str(home / "8" / CHECKSUMS)],
        cwd=home / "8",
        capture_output=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr


def test_a_folder_whose_number_no_version_can_have_is_passed_over(tmp_path: Path) -> None:
    home = tmp_path / "repo" / "m"
    for name in ("9" * 20, str(2**63), "٧", "3"):
        (home / name).mkdir(parents=True)
    assert publish(tmp_path / "repo", candidate(tmp_path / "files"), sound) == 4


def test_after_the_last_number_nothing_is_published(tmp_path: Path) -> None:
    home = tmp_path / "repo" / "m"
    (home / str(2**63 - 1)).mkdir(parents=True)
    with pytest.raises(BadArtifact, match="no number after"):
        publish(tmp_path / "repo", candidate(tmp_path / "files"), sound)
    assert versions(home) == [2**63 - 1]


def test_a_number_taken_by_someone_who_knows_no_lock_is_passed_over(tmp_path: Path) -> None:
    home = tmp_path / "repo" / "m"

    def meanwhile(directory: Path) -> None:
        sound(directory)

    made = candidate(tmp_path / "files")
    publish(tmp_path / "repo", made, meanwhile)

    def intruder(directory: Path) -> None:
        (home / "2").mkdir()
        (home / "2" / "saved_model.pb").write_bytes(b"theirs")

    assert publish(tmp_path / "repo", made, intruder) == 3
    assert (home / "2" / "saved_model.pb").read_bytes() == b"theirs"


def test_what_is_not_sound_is_not_published_and_leaves_nothing(tmp_path: Path) -> None:
    def refuse(directory: Path) -> None:
        assert (directory / MANIFEST).exists()
        raise BadArtifact("no")

    with pytest.raises(BadArtifact):
        publish(tmp_path / "repo", candidate(tmp_path / "files"), refuse)
    assert [path.name for path in (tmp_path / "repo" / "m").iterdir()] == []


def test_a_job_publishes_once(tmp_path: Path) -> None:
    made = candidate(tmp_path / "files", job="j1")
    assert publish(tmp_path / "repo", made, sound) == 1
    assert publish(tmp_path / "repo", candidate(tmp_path / "files", job="j2"), sound) == 2
    assert publish(tmp_path / "repo", made, sound) == 1
    assert versions(tmp_path / "repo" / "m") == [1, 2]


def test_many_at_once_each_get_a_number_and_one_job_gets_one(tmp_path: Path) -> None:
    made = [candidate(tmp_path / "files", job=f"j{k % 4}") for k in range(12)]
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda one: publish(tmp_path / "repo", one, sound), made))
    assert sorted(set(numbers)) == [1, 2, 3, 4]
    assert len({(number, k % 4) for k, number in enumerate(numbers)}) == 4
    assert versions(tmp_path / "repo" / "m") == [1, 2, 3, 4]


def test_the_directory_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    made = candidate(tmp_path / "files")

    def while_another_publishes(directory: Path) -> None:
        publish(tmp_path / "repo", made, sound)
        assert (directory / MANIFEST).exists()

    assert publish(tmp_path / "repo", made, while_another_publishes) == 2


PUBLISHER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[3]]
from test_publish import candidate, sound
from training.publish import publish
print("ready", flush=True)
for k in range(int(sys.argv[4]), 1000):
    publish(Path(sys.argv[1]), candidate(Path(sys.argv[2]), job=f"j{k}"), sound)
"""


def test_kill_9_at_random_moments_leaves_no_half_version(tmp_path: Path) -> None:
    repository, home = tmp_path / "repo", tmp_path / "repo" / "m"
    random = np.random.default_rng(0)
    for round_ in range(8):
        script = [sys.executable, "-c", PUBLISHER, str(repository), str(tmp_path / "files")]
        process = subprocess.Popen(
            [*script, str(Path(__file__).parent), str(100 * round_)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=float(random.uniform(0.005, 0.08)))
        process.kill()
        process.wait()
        process.stdout.close()
        for number in versions(home):
            assert damage(home / str(number)) is None
    last = publish(repository, candidate(tmp_path / "files", job="last"), sound)
    assert versions(home) == list(range(1, last + 1))
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == [".numbering.lock"]
