"""Shared storage: checkpoints and data are on S3 as on a disk, and what is wrong with it is told."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from components.cluster import settings, storage
from components.cluster.joining import free_port
from components.cluster.storage import Location, local
from components.errors import UserError
from components.train import checkpoints, node_data
from components.train.loop import State
from components.train.node_data import on_this_node, send
from tests.conftest import SECRET, Environment, contents, s3_at


@pytest.fixture(params=["disk", "s3"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Location]:
    """The storage, empty, that the environment names: a disk that machines share, or S3."""
    environment = {"TRAINYARD_STORAGE": f"file://{tmp_path}/shared"}
    for name, value in (environment if request.param == "disk" else request.getfixturevalue("s3")).items():
        monkeypatch.setenv(name, value)
    found = storage.shared()
    assert found is not None
    yield found
    found.delete()


def state(epochs: int) -> State:
    return {"history": [{"epoch": epoch} for epoch in range(epochs)], "model": {"w": torch.arange(9.0)}}


def put(run: Location, epochs: int, attempt: str) -> Location:
    """A checkpoint as Ray leaves it."""
    file = run / "attempts" / attempt / f"checkpoint_{epochs}" / "state.pt"
    file.write(checkpoints.as_bytes(state(epochs)))
    return file


def test_the_newest_whole_checkpoint_is_gone_on_from(shared: Location) -> None:
    run = shared / "train@cnn" / "key"
    assert checkpoints.newest_state(run) == (None, None)
    put(run, 2, "first")
    whole = put(run, 5, "first")
    put(run, 3, "second")
    half = put(run, 9, "second")
    half.write(half.read()[:500])
    found, file = checkpoints.newest_state(run)
    assert found is not None
    assert len(found["history"]) == 5
    assert file == whole
    assert found["model"]["w"].equal(torch.arange(9.0))


def test_a_finished_state_replaces_the_checkpoints_and_older_ones_are_forgotten(shared: Location) -> None:
    stage = shared / "train@cnn"
    for key in ("old", "new"):
        put(stage / key, 3, checkpoints.new_attempt(stage).name)
        checkpoints.keep_finished(stage / key, state(4))
    put(stage / "unfinished", 1, "first")
    assert not [name for name in stage.files() if name.startswith("new/attempts")]
    assert checkpoints.forget_finished(stage, but="new") == ["old"]
    assert {name.split("/")[0] for name in stage.files()} == {"new", "unfinished"}
    assert len((checkpoints.newest_state(stage / "new")[0] or {})["history"]) == 4


@pytest.mark.parametrize("name", ["state.pt", "finished.pt"])
def test_no_turned_bit_of_a_checkpoint_is_trained_on(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = local(tmp_path)
    put(run, 2, "first")
    other = run / "attempts/second/checkpoint_4/state.pt" if name == "state.pt" else run / "finished.pt"
    whole = bytes(checkpoints.as_bytes(state(4)))
    random = np.random.default_rng(0)
    for place in random.choice(8 * len(whole), 500, replace=False):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << (place % 8)
        other.write(bytes(damaged))
        found, file = checkpoints.newest_state(run)
        assert found is not None
        assert len(found["history"]) == 2, f"bit {place} of {file}"
        assert f"a damaged checkpoint is passed over: {other}" in capsys.readouterr().err


def test_an_attempt_keeps_its_newest_state_alone_and_its_end_moves_that(shared: Location) -> None:
    run = shared / "train@cnn" / "key"
    with checkpoints.Attempt(checkpoints.new_attempt(run)) as attempt:
        for epochs in (1, 2, 3):
            attempt.keep(state(epochs))
        file = attempt.end()
    assert len([name for name in run.files() if name.endswith(checkpoints.STATE_FILE)]) == 1
    assert len(checkpoints.load_state(file)["history"]) == 3
    checkpoints.finish(run, file)
    assert [*run.files()] == [checkpoints.FINISHED]
    assert len((checkpoints.newest_state(run)[0] or {})["history"]) == 3


def test_a_state_is_kept_as_it_was_when_it_was_given(tmp_path: Path) -> None:
    """It is written beside the next epoch, which changes the weights."""
    run, given = local(tmp_path), state(1)
    with checkpoints.Attempt(checkpoints.new_attempt(run)) as attempt:
        attempt.keep(given)
        given["model"]["w"].zero_()
        assert checkpoints.load_state(attempt.end())["model"]["w"].equal(state(1)["model"]["w"])


def test_a_state_that_cannot_be_written_is_an_error_of_the_training(tmp_path: Path) -> None:
    run = local(tmp_path)
    (tmp_path / checkpoints.ATTEMPTS).write_text("a file where the folder should be")
    with checkpoints.Attempt(checkpoints.new_attempt(run)) as attempt, pytest.raises(OSError, match="attempts"):
        attempt.keep(state(1))
        attempt.end()


def attempt_of(pid: int, machine: str, began: float) -> str:
    return f"{int(began * 1e9)}-{pid}-{machine}"


def test_only_ones_own_and_dead_attempts_are_deleted(shared: Location, tmp_path: Path) -> None:
    here = checkpoints.new_attempt(shared).name.split("-", 2)[2]
    run, now = shared / "train@cnn" / "key", time.time()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own, living = attempt_of(os.getpid(), here, now), attempt_of(os.getppid(), here, now)
    ended, reused = attempt_of(dead.pid, here, now), attempt_of(os.getppid(), here, 1.0)
    elsewhere = attempt_of(os.getpid(), "another-machine", now)
    for attempt in (own, living, ended, reused, elsewhere):
        put(run, 1, attempt)
    checkpoints.keep_finished(run, state(3))
    left = {name.split("/")[1] for name in run.files() if name.startswith("attempts/")}
    assert left == {living, elsewhere}


def test_another_machines_attempt_goes_once_it_has_long_been_silent(tmp_path: Path) -> None:
    run, old = local(tmp_path), time.time() - 8 * 24 * 3600
    file = put(run, 1, attempt_of(1, "another-machine", old))
    os.utime(file.path, (old, old))
    checkpoints.keep_finished(run, state(3))
    assert set(run.files()) == {"finished.pt"}


def test_forgetting_a_finished_run_leaves_the_attempt_that_another_makes_of_it(tmp_path: Path) -> None:
    stage = local(tmp_path)
    checkpoints.keep_finished(stage / "old", state(4))
    put(stage / "old", 1, attempt_of(1, "another-machine", time.time()))
    assert checkpoints.forget_finished(stage, but="new") == ["old"]
    assert [name.split("/")[1] for name in stage.files()] == ["attempts"]


def test_a_storage_that_fails_is_not_one_without_checkpoints() -> None:
    gone = s3_at(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match="Nothing answers there"):
        checkpoints.newest_state(Location(gone, "bucket/train@cnn/key"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TRAINYARD_STORAGE": "bucket/folder"}, "t takes s3://bucket/folder"),
        ({"TRAINYARD_STORAGE": "s4://bucket/folder"}, "t takes s3://bucket/folder"),
        ({"TRAINYARD_STORAGE": "s3://"}, "t takes s3://bucket/folder"),
        ({"TRAINYARD_STORAGE": "s3://key:secret@bucket/folder"}, "set AWS_ACCESS_KEY_ID"),
        ({"TRAINYARD_STORAGE": "s3://none/folder"}, "Create the bucket"),
        ({"TRAINYARD_STORAGE": "file:///proc/none"}, "cannot be used"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS_ENDPOINT_URL has to be the server's address"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_message_in_seconds(
    s3: Environment, monkeypatch: pytest.MonkeyPatch, changes: Environment, said: str
) -> None:
    for name, value in {**s3, **changes}.items():
        monkeypatch.setenv(name, value)
    started = time.monotonic()
    with pytest.raises(UserError, match=said) as raised:
        storage.shared()
    assert time.monotonic() - started < 10
    assert "TRAINYARD_STORAGE" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_refused_keys_are_one_message(s3: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def actions_without_keys(number: str) -> None:
        address, kind = f"{s3['AWS_ENDPOINT_URL']}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, number.encode(), kind)).close()

    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    actions_without_keys("0")
    with pytest.raises(UserError, match="have to be those of a user who may write there"):
        storage.shared()
    actions_without_keys("inf")
    assert storage.shared() is not None


@pytest.mark.parametrize("options", ["", "?scheme=http&region=us-east-1&endpoint_override={host}"])
def test_a_location_takes_its_keys_along_to_a_machine_without_them(
    s3: Environment, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    host = s3["AWS_ENDPOINT_URL"].removeprefix("http://")
    monkeypatch.setenv("TRAINYARD_STORAGE", s3["TRAINYARD_STORAGE"] + options.format(host=host))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    here = storage.shared()
    assert here is not None
    (here / "file").write(b"content")
    sent = pickle.dumps(here / "file")
    for name in (name for name in os.environ if name.startswith("AWS_")):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # else the SDK looks for a role for seconds
    there = pickle.loads(sent)
    assert there.read() == b"content"
    assert there.filesystem == here.filesystem
    assert there.filesystem.__reduce__()[1][0]["secret_key"] == SECRET
    assert there.filesystem.__reduce__()[1][0]["session_token"] == "token"


def test_without_keys_in_the_environment_each_machine_uses_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert SECRET.encode() not in pickle.dumps(storage._opened("s3://bucket/folder"))


def test_keys_are_hidden_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt), storage.keys_hidden():
        assert SECRET not in os.environ.values()
        raise KeyboardInterrupt
    assert dict(os.environ) == before


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data in a project, in which the driver runs; nodes have an empty cache, and the project elsewhere."""
    folder = tmp_path / "project" / "data" / "split"
    (folder / "more").mkdir(parents=True)
    (folder / "inputs.npy").write_bytes(os.urandom(200_000))
    (folder / "more" / "empty").touch()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("TRAINYARD_ROOT", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "cache"))
    return folder


def test_a_node_without_the_data_fetches_them_once_for_all_its_workers(
    shared: Location, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(data, shared)
    fetch, fetched = node_data._fetch, []

    def counted(published: Location, folder: Path) -> None:
        fetched.append(folder)
        fetch(published, folder)

    monkeypatch.setattr(node_data, "_fetch", counted)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(on_this_node, [sent] * 4))
    assert len(fetched) == 1
    assert contents(found.pop()) == contents(data)
    assert not found


def test_data_that_a_killed_driver_published_in_part_are_completed(
    shared: Location, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = send(data, shared).published
    assert published is not None
    part = contents(data)["inputs.npy"][:1000]
    shared.delete()
    (published / "inputs.npy").write(part)
    with pytest.raises(UserError, match="could not be fetched"):
        on_this_node(node_data.Sent(str(data.parent.parent), "data/split", published.name, published))
    assert contents(on_this_node(send(data, shared))) == contents(data)
    capsys.readouterr()
    send(data, shared)
    assert "go to" not in capsys.readouterr().out


def test_half_a_download_is_not_taken_for_a_whole_one(shared: Location, data: Path, tmp_path: Path) -> None:
    sent = send(data, shared)
    assert sent.published is not None
    whole = (sent.published / "inputs.npy").read()
    (sent.published / "inputs.npy").write(whole[:-1])
    with pytest.raises(UserError, match="has 199999 bytes of 200000"):
        on_this_node(sent)
    assert not (tmp_path / "cache" / sent.digest).exists()
    (sent.published / "inputs.npy").write(whole)
    assert contents(on_this_node(sent)) == contents(data)


def test_a_node_with_the_same_data_in_its_own_project_uses_those(data: Path, tmp_path: Path) -> None:
    sent = send(data, None)
    with pytest.raises(UserError, match="is not there; set TRAINYARD_STORAGE"):
        on_this_node(sent)
    own = tmp_path / "elsewhere" / "data" / "split"
    shutil.copytree(data, own)
    assert on_this_node(sent) == own
    (own / "inputs.npy").write_bytes(b"other")
    with pytest.raises(UserError, match="holds other data than the driver has; set TRAINYARD_STORAGE"):
        on_this_node(sent)


def test_code_goes_to_clusters_elsewhere_alone_and_keys_to_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("TRAINYARD_STORAGE", "s3://bucket/folder")
    assert settings.carried(None) is None
    assert settings.carried("127.0.0.1:6379") is None
    there = settings.carried("10.0.0.1:6379") or {}
    assert there["working_dir"] == str(Path.cwd())
    assert there["env_vars"].keys() == {"CUBLAS_WORKSPACE_CONFIG"}
    submitted = {"runtime_env": {"working_dir": "gcs://x.zip", "env_vars": {"CUBLAS_WORKSPACE_CONFIG": ":16:8"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(submitted))
    assert (settings.carried("10.0.0.1:6379") or {}).keys() == {"env_vars"}
    assert "CUBLAS_WORKSPACE_CONFIG" not in (settings.carried("10.0.0.1:6379") or {})["env_vars"]
