"""Objects under a prefix, over a real client and a real server, also an unlucky one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_server import OwnBucket
from unlucky_proxy import Luck, unlucky

from service.adapters.object_store import Bucket
from service.domain.errors import InvalidInput


@pytest.mark.parametrize("url", ["s3:///models", "gs://bucket/models", "s3://bucket/a?b=1", "models", "s3://bucket#x"])
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="s3://BUCKET/PREFIX"):
        Bucket(url)


def test_objects_are_listed_by_key_below_the_prefix_and_across_pages(theirs: OwnBucket) -> None:
    theirs.client.put_object(Bucket=theirs.name, Key="models-of-others/x", Body=b"x")
    names = [f"m/{number:04}" for number in range(1203)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: theirs.put(name, name.encode()), names))
    ours = theirs.ours()
    found = ours.objects()
    assert sorted(found) == names
    assert found["m/0007"].size == 6
    assert found["m/0007"].tag != found["m/0008"].tag
    assert sorted(ours.objects("m/120")) == ["m/1200", "m/1201", "m/1202"]


def test_a_file_comes_back_as_it_was_sent(theirs: OwnBucket, tmp_path: Path) -> None:
    ours = theirs.ours()
    for size in (0, 1, 70_000):
        (tmp_path / "sent").write_bytes(bytes(index % 251 for index in range(size)))
        ours.send(tmp_path / "sent", "a b/ü+%41.bin")
        ours.fetch("a b/ü+%41.bin", tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == (tmp_path / "sent").read_bytes()
        assert ours.read("a b/ü+%41.bin") == (tmp_path / "sent").read_bytes()


def test_of_many_who_create_an_object_one_does(theirs: OwnBucket) -> None:
    ours = theirs.ours()
    with ThreadPoolExecutor(16) as threads:
        done = list(threads.map(lambda number: ours.create("claim", b"%d" % number), range(16)))
    assert done.count(True) == 1
    assert ours.read("claim") == b"%d" % done.index(True)


def test_what_is_not_there_is_said_so_and_not_missed_when_removed(theirs: OwnBucket, tmp_path: Path) -> None:
    ours = theirs.ours()
    with pytest.raises(FileNotFoundError):
        ours.read("none")
    with pytest.raises(FileNotFoundError):
        ours.fetch("none", tmp_path / "file")
    theirs.put("a", b"a")
    ours.delete(["a", "none"])
    assert theirs.keys() == []


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_store_that_refuses_is_an_os_error_that_is_not_about_the_object(theirs: OwnBucket, status: int) -> None:
    with unlucky(theirs.endpoint, Luck(lambda method, path: True, status=status)) as address:
        ours = theirs.ours(address)
        for attempt in (
            ours.objects,
            lambda: ours.read("a"),
            lambda: ours.create("a", b""),
            lambda: ours.delete(["a"]),
        ):
            with pytest.raises(OSError, match=r".") as raised:
                attempt()
            assert not isinstance(raised.value, FileNotFoundError | FileExistsError)


def test_a_store_that_is_not_there_is_an_os_error(theirs: OwnBucket) -> None:
    with unlucky(theirs.endpoint, Luck()) as address:
        pass
    with pytest.raises(OSError, match=r"Connect|connect"):
        theirs.ours(address).objects()


def test_a_bucket_that_is_not_there_is_an_os_error(theirs: OwnBucket) -> None:
    with pytest.raises(OSError, match=r"NoSuchBucket|does not exist"):
        Bucket("s3://nobody-has-this/models", theirs.endpoint).objects()
