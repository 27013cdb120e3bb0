"""3: what is served and under which labels, changed while the server runs, by HandleReloadConfigRequest and by files.

Every case starts from the config that the server was started with and puts it back. What a case adds lies below the
directory of the models, so that a server elsewhere sees it too.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from contract_client import CALL_S, Target, arrays, rejected, same
from real_server import until
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import file_system_storage_path_source_pb2, model_server_config_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
Config = model_server_config_pb2.ModelServerConfig
Policy = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
X = {"x": np.array([1.0], np.float32)}


@pytest.fixture
def config(target: Target) -> Iterator[Config]:
    """A copy of the server's config to change; afterwards the server has its own again."""
    yield target.config()
    target.reload(target.config())


def aside(path: Path) -> Path:
    """Where a base path goes that is to be missing for a while."""
    return path.with_name(f"{path.name}-aside")


@pytest.fixture
def place(target: Target, config: Config) -> Iterator[Callable[[str], tuple[Path, str]]]:
    """A new base path by name: where it lies, and how the server calls it. Gone in the end."""
    made: list[Path] = []
    (half,) = [one.base_path for one in config.model_config_list.config if one.name == "half"]

    def new(name: str) -> tuple[Path, str]:
        made.append(target.directory / "models" / name)
        made[-1].mkdir()
        return made[-1], f"{Path(half).parent}/{name}"

    yield new
    for path in made:
        for left in (path, aside(path)):
            shutil.rmtree(left, ignore_errors=True)


def entry(config: Config, name: str) -> Any:
    """The config of one model."""
    (found,) = [one for one in config.model_config_list.config if one.name == name]
    return found


def add(config: Config, name: str, base_path: str, platform: str = "tensorflow", **labels: int) -> Any:
    """One more model."""
    added = config.model_config_list.config.add(name=name, base_path=base_path, model_platform=platform)
    added.version_labels.update(labels)
    return added


def half_path(config: Config) -> str:
    """Where the three versions of ``half`` lie, for the server."""
    return str(entry(config, "half").base_path)


def put(target: Target, version: int, path: Path) -> None:
    """A version in a base path, copied aside and renamed."""
    shutil.copytree(target.directory / "models" / "half" / str(version), path / "aside")
    (path / "aside").rename(path / str(version))


def answers(target: Target, model: str, version: int, **spec: Any) -> None:
    """Predict on the model is answered by this version."""
    said = target.predict(model, X, **spec)
    assert said.model_spec.version.value == version
    same(arrays(said.outputs)["y"], target.answer(f"half-{version}").output[:1])


# 3.5 reload


def test_reload_of_the_same_config(target: Target, config: Config) -> None:
    """3.5: changes nothing, and says OK in the status and in the answer."""
    assert target.reload(config).status.error_code == 0
    assert target.live("half") == {1, 2}


def test_reload_adds_a_model(target: Target, config: Config) -> None:
    """3.5: when the call returns the new model answers, over both doors."""
    add(config, "added", half_path(config))
    target.reload(config)
    answers(target, "added", 3)
    assert target.rest.post("/v1/models/added:predict", content=b'{"instances": [1]}').json() == {"predictions": [4.5]}


def test_reload_drops_a_model(target: Target, config: Config) -> None:
    """3.5: the config replaces everything: what it leaves out goes, what it keeps stays."""
    add(config, "passing", half_path(config))
    target.reload(config)
    config.model_config_list.config.pop()
    target.reload(config)
    until("passing is gone", lambda: not target.live("passing"), CALL_S)
    with rejected(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(passing)"):
        target.predict("passing", X)
    answers(target, "half", 2)


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        pytest.param(Policy(all=Policy.All()), {1, 2, 3}, id="3.1 all"),
        pytest.param(Policy(latest=Policy.Latest(num_versions=1)), {3}, id="3.1 latest 1"),
        pytest.param(Policy(latest=Policy.Latest(num_versions=2)), {2, 3}, id="3.1 latest 2"),
        pytest.param(Policy(latest=Policy.Latest()), {3}, id="3.1 latest 0 means 1"),
        pytest.param(Policy(specific=Policy.Specific(versions=[2])), {2}, id="3.1 specific"),
        pytest.param(Policy(specific=Policy.Specific(versions=[1, 99])), {1}, id="3.1 missing ones are left out"),
    ],
)
def test_policies_can_change(target: Target, config: Config, policy: Policy, versions: set[int]) -> None:
    """3.5: the version policy of a model that is served may change; 3.1: each policy."""
    one = add(config, "policy", half_path(config))
    one.model_version_policy.CopyFrom(Policy(specific=Policy.Specific(versions=[1, 3])))
    target.reload(config)
    target.wait_live("policy", 1, 3)
    one.model_version_policy.CopyFrom(policy)
    target.reload(config)
    target.wait_live("policy", *versions)


def test_specific_of_nothing(target: Target, config: Config) -> None:
    """3.1: an empty list unloads everything."""
    one = add(config, "policy", half_path(config))
    target.reload(config)
    one.model_version_policy.specific.SetInParent()
    target.reload(config)
    target.wait_live("policy")


def test_a_moved_base_path(target: Target, config: Config, place: Any) -> None:
    """3.5: a model's base path may change."""
    path, seen = place("elsewhere")
    put(target, 1, path)
    one = add(config, "moving", half_path(config))
    target.reload(config)
    one.base_path = seen
    target.reload(config)
    target.wait_live("moving", 1)


def _twice(config: Config) -> None:
    add(config, "half", half_path(config))


def _no_path(config: Config) -> None:
    add(config, "pathless", "")


def _relative(config: Config) -> None:
    add(config, "relative", "models/half")


def _no_platform(config: Config) -> None:
    add(config, "unplatformed", half_path(config), "")


def _platform(config: Config) -> None:
    add(config, "other", half_path(config), "caffe")


def _custom(config: Config) -> None:
    config.Clear()
    config.custom_model_config.SetInParent()


def _nothing(config: Config) -> None:
    config.Clear()


@pytest.mark.parametrize(
    ("spoil", "gist"),
    [
        pytest.param(_twice, "Illegal to list model half multiple times in config list", id="3.5 twice"),
        pytest.param(
            _no_path,
            "Expected model pathless to have an absolute path or URI; got base_path()=",
            id="3.5 no base path",
        ),
        pytest.param(
            _relative,
            "Expected model relative to have an absolute path or URI; got base_path()=models/half",
            id="3.5 relative base path",
        ),
        pytest.param(_no_platform, "model name is unplatformed", id="3.5 no platform"),
        pytest.param(_platform, "Model other requests unsupported platform caffe", id="3.5 unknown platform"),
        pytest.param(
            _custom,
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported",
            id="3.5 custom config",
        ),
        pytest.param(_nothing, "Only ModelConfigList is currently supported", id="3.5 no config"),
    ],
)
def test_bad_configs(target: Target, config: Config, spoil: Callable[[Config], None], gist: str) -> None:
    """3.5: refused whole, and what was served goes on."""
    spoil(config)
    with rejected(INVALID, gist):
        target.reload(config)
    assert target.live("half") == {1, 2}
    answers(target, "half", 2)


def test_reload_without_a_config(target: Target) -> None:
    """3.5: an empty request is no request to unload everything."""
    with rejected(INVALID):
        target.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=CALL_S)
    answers(target, "half", 2)


@pytest.mark.differs
def test_reload_of_a_model_that_cannot_load(target: Target, config: Config, place: Any) -> None:
    """3.5 differs: there it answers after five minutes of retries; here soon, and status tells why."""
    path, seen = place("broken")
    (path / "1").mkdir()
    (path / "1" / "saved_model.pb").write_bytes(b"no graph at all")
    add(config, "broken", seen)
    start = time.monotonic()
    with rejected(grpc.StatusCode.UNKNOWN, "model(s) did not become available", "broken"):
        target.reload(config)
    assert time.monotonic() - start < CALL_S / 2
    (one,) = target.rest.get("/v1/models/broken").json()["model_version_status"]
    assert one["status"]["error_message"]
    answers(target, "half", 2)


@pytest.mark.differs
def test_reload_of_a_path_with_nothing_in_it(target: Target, config: Config, place: Any) -> None:
    """3.5 differs: there it hangs."""
    _, seen = place("empty")
    add(config, "nothing", seen)
    start = time.monotonic()
    try:
        target.reload(config)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNKNOWN, error  # noqa: PT017 - either is a prompt answer
    assert time.monotonic() - start < CALL_S / 2
    answers(target, "half", 2)


# 3.4 labels


def test_a_label_moves(target: Target, config: Config) -> None:
    """3.4: to a version that answers, at once."""
    answers(target, "half", 1, version_label="stable")
    entry(config, "half").version_labels["stable"] = 2
    target.reload(config)
    answers(target, "half", 2, version_label="stable")


def test_a_label_goes(target: Target, config: Config) -> None:
    """3.4: when the config has it no longer."""
    del entry(config, "half").version_labels["stable"]
    target.reload(config)
    with rejected(INVALID, "Unrecognized servable version label: stable"):
        target.predict("half", X, version_label="stable")
    answers(target, "half", 2, version_label="canary")


def test_a_label_comes(target: Target, config: Config) -> None:
    """3.4: over both doors."""
    entry(config, "every").version_labels["oldest"] = 1
    target.reload(config)
    answers(target, "every", 1, version_label="oldest")
    said = target.rest.post("/v1/models/every/labels/oldest:predict", content=b'{"instances": [1]}')
    assert said.json() == {"predictions": [2.5]}


def test_a_label_on_a_version_that_is_not_there(target: Target, config: Config) -> None:
    """3.4: a version neither live nor wanted is refused, and the label stays where it was."""
    entry(config, "half").version_labels["stable"] = 99
    gist = "Request to assign label to version 99 of model half, which is not currently available for inference"
    with rejected(PRECONDITION, gist):
        target.reload(config)
    answers(target, "half", 1, version_label="stable")


def test_a_label_of_a_new_model(target: Target, config: Config) -> None:
    """3.4: a label in the config that brings its model; there with --allow_version_labels_for_unavailable_models."""
    add(config, "labelled", half_path(config), chosen=3)
    target.reload(config)
    answers(target, "labelled", 3, version_label="chosen")


# 3.1, 3.2 files


def test_a_new_version_takes_over(target: Target, config: Config, place: Any) -> None:
    """3.1, 3.2: found by looking; the old one goes when the new one answers, and something always does."""
    path, seen = place("growing")
    put(target, 1, path)
    add(config, "growing", seen)
    target.reload(config)
    answers(target, "growing", 1)
    put(target, 3, path)
    versions = set()
    end = time.monotonic() + CALL_S
    while target.live("growing") != {3} and time.monotonic() < end:
        versions.add(target.predict("growing", X).model_spec.version.value)
    answers(target, "growing", 3)
    assert versions <= {1, 3}
    with rejected(grpc.StatusCode.NOT_FOUND, "Specific(growing, 1)"):
        target.predict("growing", X, version=1)


@pytest.mark.parametrize("name", ["v2", "1.2", "tmp", "2 "])
def test_directories_that_are_no_versions(target: Target, config: Config, place: Any, name: str) -> None:
    """3.1: a name that is not an integer is skipped without a word."""
    path, seen = place("named")
    put(target, 1, path)
    shutil.copytree(path / "1", path / name)
    add(config, "named", seen)
    target.reload(config)
    assert target.status("named") == {1: "AVAILABLE"}


def test_leading_noughts(target: Target, config: Config, place: Any) -> None:
    """3.1: ``00000123`` is version 123."""
    path, seen = place("noughts")
    put(target, 2, path)
    (path / "2").rename(path / "00000123")
    add(config, "noughts", seen)
    target.reload(config)
    said = target.predict("noughts", X)
    assert said.model_spec.version.value == 123


def test_the_last_version_is_taken_away(target: Target, config: Config, place: Any) -> None:
    """3.1: a base path that is there and empty unloads everything of that model."""
    path, seen = place("vanishing")
    put(target, 1, path)
    add(config, "vanishing", seen)
    target.reload(config)
    shutil.rmtree(path / "1")
    until("vanishing is gone", lambda: not target.live("vanishing"), CALL_S)


def test_a_missing_base_path_unloads_nothing(target: Target, config: Config, place: Any) -> None:
    """3.1: what cannot be seen is not gone."""
    path, seen = place("hidden")
    put(target, 1, path)
    add(config, "hidden", seen)
    target.reload(config)
    path.rename(aside(path))
    config.model_config_list.config.add(name="another", base_path=half_path(config), model_platform="tensorflow")
    with contextlib.suppress(grpc.RpcError):  # whether all of it is well is not what is asked here
        target.reload(config, timeout=5)
    answers(target, "hidden", 1)
    aside(path).rename(path)


@pytest.mark.differs
def test_a_missing_base_path_holds_up_nobody(target: Target, config: Config, place: Any) -> None:
    """3.1 differs: there no model of the config changes until it is back."""
    path, seen = place("hidden")
    put(target, 1, path)
    add(config, "hidden", seen)
    grown, grown_seen = place("meanwhile")
    put(target, 1, grown)
    add(config, "meanwhile", grown_seen)
    target.reload(config)
    path.rename(aside(path))
    put(target, 2, grown)
    target.wait_live("meanwhile", 2)
    answers(target, "hidden", 1)
    aside(path).rename(path)


@pytest.mark.differs
def test_a_failed_version_mends_itself(target: Target, config: Config, place: Any) -> None:
    """3.2 differs: there a failed version is given up; here it is tried again, the old one serving meanwhile."""
    path, seen = place("mending")
    put(target, 1, path)
    add(config, "mending", seen)
    target.reload(config)
    (path / "2").mkdir()
    (path / "2" / "saved_model.pb").write_bytes(b"only half of it")
    until("2 has failed", lambda: target.status("mending").get(2) == "END", CALL_S)
    answers(target, "mending", 1)
    shutil.copytree(target.directory / "models" / "half" / "2", path / "2", dirs_exist_ok=True)
    target.wait_live("mending", 2)
    answers(target, "mending", 2)


def test_states_in_order(target: Target, config: Config) -> None:
    """3.2: START, LOADING, AVAILABLE; a status never says UNKNOWN."""
    known = get_model_status_pb2.ModelVersionStatus.State.values()
    add(config, "ordered", half_path(config))
    call = target.models.HandleReloadConfigRequest.future(
        model_management_pb2.ReloadConfigRequest(config=config), timeout=CALL_S
    )
    order = ["START", "LOADING", "AVAILABLE"]
    seen = []
    while not seen or seen[-1] != "AVAILABLE":
        found = target.rest.get("/v1/models/ordered/versions/3")
        if found.status_code == 200:
            seen.append(found.json()["model_version_status"][0]["state"])
    assert [order.index(one) for one in seen] == sorted(order.index(one) for one in seen)
    assert call.result().status.error_code == 0
    assert 0 in known
