"""Training in one process and under Ray: any number of workers is the same training; no kill loses or changes it."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from components.cluster.joining import free_port
from components.models.task import load_task
from components.params import params
from components.prepare.stage import training_split
from components.prepare.start import resolved, weights_folder
from components.prepare.weights import load_weights
from components.train.loop import fit
from tests.conftest import CPU, Project, lines_until, synthetic, with_small_images

pytestmark = [pytest.mark.slow, pytest.mark.processes]

EPOCHS = 8
TRAIN = ("components.train", "cnn")
TWO = {"TRAINYARD_WORKERS": "2"}
DVC_TRAIN = ("dvc", "repro", "--single-item", "--force", "train@cnn")  # forced: no result from its cache


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its data split, whose epochs take about half a second."""
    project = Project(tmp_path_factory.mktemp("prepared") / "project")
    project.change(mnist__source=synthetic("mnist"), cnn__epochs=EPOCHS, cnn__batch_size=4)
    assert project.run("dvc", "repro", "prepare@cnn").returncode == 0
    return project


@pytest.fixture
def untrained(prepared: Project) -> Iterator[Project]:
    """The prepared project with no trace of a training."""
    for folder in (".runs", "data/models/cnn"):
        shutil.rmtree(prepared.folder / folder, ignore_errors=True)
    yield prepared
    prepared.end()


def weights(project: Project) -> bytes:
    return (project.folder / "data/models/cnn/model.safetensors").read_bytes()


def history(project: Project) -> pd.DataFrame:
    return pd.read_csv(project.folder / "data/models/cnn/history.csv")


@pytest.fixture(scope="module")
def uninterrupted(prepared: Project) -> bytes:
    """The weights of a training in one process that nothing disturbed."""
    said, found = undisturbed(prepared)
    assert "training in this process on 1 CPU core" in said
    return found


@pytest.fixture(scope="module")
def uninterrupted_on_two(prepared: Project) -> bytes:
    """The same of two workers of Ray's."""
    said, found = undisturbed(prepared, **TWO)
    assert "training on 2 workers" in said
    return found


def undisturbed(project: Project, **environment: str) -> tuple[str, bytes]:
    """What a training says, and its weights."""
    shutil.rmtree(project.folder / ".runs", ignore_errors=True)
    done = project.run(*TRAIN, seconds=500, **environment)
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"epoch +\d+/8", done.stdout)) == EPOCHS
    assert len(history(project)) == EPOCHS
    return done.stdout, weights(project)


def in_one_process(project: Project, model: str) -> pd.DataFrame:
    """The epochs of the same training without Ray."""
    with chdir(project.folder):
        settings = params.load()
        config = resolved(settings, model)
        task = load_task(config.family, model)
        weights = load_weights(weights_folder(settings, model))
        split = training_split(settings.paths, model, config)
        return pd.DataFrame(fit(task, config, split, CPU, lambda *_: None, weights=weights).history)


def ray_worker(process: subprocess.Popen[str]) -> psutil.Process:
    for child in psutil.Process(process.pid).children(recursive=True):
        if any("ray::" in part and "TrainWorker" in part for part in child.cmdline()):
            return child
    raise AssertionError([child.cmdline()[:1] for child in psutil.Process(process.pid).children(recursive=True)])


def trainer(process: subprocess.Popen[str]) -> psutil.Process:
    return next(
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.cmdline()[1:3] == ["-m", "components.train"]
    )


def itself(process: subprocess.Popen[str]) -> psutil.Process:
    return psutil.Process(process.pid)


def killed_at_a_random_epoch(
    project: Project,
    command: tuple[str, ...],
    victim: Callable[[subprocess.Popen[str]], psutil.Process],
    **environment: str,
) -> tuple[int, str]:
    """Start the command, SIGKILL one of its processes after a random epoch; its exit code and the rest it said."""
    epoch = random.randint(2, EPOCHS - 3)
    process = project.start(*command, **environment)
    said = "".join(lines_until(process, f"epoch {epoch}/{EPOCHS}"))
    time.sleep(random.uniform(0, 0.5))
    os.kill(victim(process).pid, signal.SIGKILL)
    rest, _ = process.communicate(timeout=200)
    return process.returncode, said + rest


def test_a_killed_worker_is_replaced_and_changes_nothing(uninterrupted_on_two: bytes, untrained: Project) -> None:
    code, said = killed_at_a_random_epoch(untrained, TRAIN, ray_worker, **TWO)
    assert code == 0, said
    assert "back to the last epoch's checkpoint" in said
    assert weights(untrained) == uninterrupted_on_two
    assert len(history(untrained)) == EPOCHS


@pytest.mark.parametrize(
    ("command", "victim"),
    [(TRAIN, itself), (DVC_TRAIN, trainer), (DVC_TRAIN, itself)],
    ids=["driver", "driver under dvc", "dvc"],
)
def test_after_a_kill_the_same_command_ends_with_the_same_weights(
    uninterrupted: bytes,
    untrained: Project,
    command: tuple[str, ...],
    victim: Callable[[subprocess.Popen[str]], psutil.Process],
) -> None:
    code, said = killed_at_a_random_epoch(untrained, command, victim)
    assert code != 0, said
    assert not (untrained.folder / "data/models/cnn").exists()

    again = untrained.run(*command)
    assert again.returncode == 0, again.stdout
    assert "going on after epoch" in again.stdout
    assert weights(untrained) == uninterrupted
    assert len(history(untrained)) == EPOCHS


def listening_everywhere(process: psutil.Process) -> list[tuple[str, int]]:
    """The names and ports of a process and its descendants that other machines can reach."""
    found = []
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            ports = [c.laddr for c in each.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            found += [(each.name(), at.port) for at in ports if not at.ip.startswith(("127.", "::1", "::ffff:127."))]
    return found


def test_the_driver_of_two_workers_is_killed_and_the_same_command_ends_with_the_same_weights(
    uninterrupted_on_two: bytes, untrained: Project
) -> None:
    code, said = killed_at_a_random_epoch(untrained, TRAIN, itself, **TWO)
    assert code != 0, said
    assert "going on after epoch" in untrained.run(*TRAIN, TRAINYARD_WORKERS="2").stdout
    assert weights(untrained) == uninterrupted_on_two


def test_it_trains_from_a_path_with_a_space_and_with_a_long_temporary_folder(
    uninterrupted_on_two: bytes, untrained: Project, tmp_path: Path
) -> None:
    odd, long = tmp_path / "a folder (mine) & more", tmp_path / f"a-temporary-folder-of-{'many' * 10}-letters"
    odd.mkdir()
    long.mkdir()
    (odd / "environment").symlink_to(Path(sys.executable).parent.parent)
    python = odd / "environment/bin" / Path(sys.executable).name
    done = subprocess.run(
        [str(python), "-m", *TRAIN],
        cwd=untrained.folder,
        env={**untrained.environment, **TWO, "TMPDIR": str(long)},
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights(untrained) == uninterrupted_on_two


def test_sigterm_ends_it_and_the_same_command_goes_on(uninterrupted: bytes, untrained: Project) -> None:
    process = untrained.start(*TRAIN)
    list(lines_until(process, f"epoch 2/{EPOCHS}"))
    assert psutil.Process(process.pid).children(recursive=True) == [], "one worker takes no other process"
    assert listening_everywhere(psutil.Process(process.pid)) == []
    process.terminate()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in rest
    assert "going on after epoch" in untrained.run(*TRAIN).stdout
    assert weights(untrained) == uninterrupted


def test_sigterm_stops_every_process_of_rays(untrained: Project) -> None:
    process = untrained.start(*TRAIN, **TWO)
    list(lines_until(process, f"epoch 2/{EPOCHS}"))
    assert listening_everywhere(psutil.Process(process.pid)) == []
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in rest
    assert psutil.wait_procs(family, timeout=30)[1] == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_it_in_seconds_and_the_same_command_goes_on(
    workers: str, uninterrupted: bytes, uninterrupted_on_two: bytes, untrained: Project
) -> None:
    process = untrained.start(*TRAIN, TRAINYARD_WORKERS=workers)
    list(lines_until(process, f"epoch 2/{EPOCHS}"))
    family = psutil.Process(process.pid).children(recursive=True)
    rest = untrained.interrupt(process)
    assert process.returncode == 130
    assert "the same command goes on" in rest
    assert "Traceback" not in rest
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert "going on after epoch" in untrained.run(*TRAIN, TRAINYARD_WORKERS=workers).stdout
    assert weights(untrained) == (uninterrupted if workers == "1" else uninterrupted_on_two)


def test_a_cluster_too_small_fails_in_seconds(untrained: Project) -> None:
    started = time.monotonic()
    done = untrained.run(*TRAIN, TRAINYARD_WORKERS="64")
    assert time.monotonic() - started < 40
    assert done.returncode == 2
    assert "64 workers with one CPU core each were asked for, but the Ray cluster has" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_address_where_no_cluster_is_says_so(untrained: Project) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = untrained.run(*TRAIN, RAY_ADDRESS=address, RAY_AUTH_TOKEN="0" * 64)
    assert done.returncode == 2
    assert f"no joining the Ray cluster at {address}" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_fault_of_the_users_is_one_message_and_not_tried_again(workers: str, untrained: Project) -> None:
    kept = (untrained.folder / "params.yaml").read_text()
    untrained.change(cnn__optimizer="sgd", cnn__learning_rate=1e30)
    done = untrained.run(*TRAIN, TRAINYARD_WORKERS=workers)
    (untrained.folder / "params.yaml").write_text(kept)
    assert done.returncode == 2
    assert "lower models.cnn.learning_rate" in done.stdout
    assert "Traceback" not in done.stdout
    assert "lost worker" not in done.stdout


def test_a_second_trainer_waits_for_the_first_and_takes_its_model(uninterrupted: bytes, untrained: Project) -> None:
    first = untrained.start(*TRAIN)
    list(lines_until(first, f"epoch 1/{EPOCHS}"))
    # The training may be over sooner than a second process has started: it stands still until that one waits.
    psutil.Process(first.pid).suspend()
    second = untrained.start(*TRAIN)
    list(lines_until(second, "another process trains exactly this; waiting for it"))
    psutil.Process(first.pid).resume()
    said, _ = second.communicate(timeout=200)
    first.communicate(timeout=10)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "already trained" in said
    assert weights(untrained) == uninterrupted


def test_a_checkpoint_that_was_half_written_is_passed_over(uninterrupted: bytes, untrained: Project) -> None:
    process = untrained.start(*TRAIN)
    list(lines_until(process, f"epoch 3/{EPOCHS}"))
    process.kill()
    process.communicate(timeout=60)
    (whole,) = list(untrained.folder.glob(".runs/train@cnn/*/attempts/*/checkpoint_*/state.pt"))[:1]
    broken: Path = whole.parent.with_name("checkpoint_9999-99-99_99-99-99.999999") / whole.name
    broken.parent.mkdir()
    broken.write_bytes(whole.read_bytes()[:5000])
    assert untrained.run(*TRAIN).returncode == 0
    assert weights(untrained) == uninterrupted


@pytest.fixture
def with_flowers(tmp_path: Path) -> Iterator[Project]:
    """A project with the stored features of a classifier on few images, from random weights."""
    project = with_small_images(tmp_path)
    project.change(transfer__epochs=2, transfer__dropout=0.0)
    project.change(transfer__optimizer="sgd", transfer__learning_rate=0.0001)
    done = project.run("dvc", "repro", "prepare@transfer")
    assert done.returncode == 0, done.stdout
    yield project
    project.end()


def test_transfer_on_two_workers_of_rays_is_the_same_training(with_flowers: Project) -> None:
    """Other kinds of network are trained by two workers without Ray: test_two_workers.py."""
    done = with_flowers.run("dvc", "repro", "--single-item", "train@transfer", TRAINYARD_WORKERS="2")
    assert done.returncode == 0, done.stdout
    assert "training on 2 workers" in done.stdout
    two = pd.read_csv(with_flowers.folder / "data/models/transfer/history.csv")
    one = in_one_process(with_flowers, "transfer")
    for column in ("loss", "validation_loss", "gradient_norm"):
        assert two[column].tolist() == pytest.approx(one[column].tolist(), rel=1e-4), column
