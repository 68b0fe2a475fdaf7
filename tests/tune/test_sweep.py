"""Sweeps on a real Ray: killed, interrupted, with values that crash, on two nodes; and what becomes of the winner."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.cluster.joining import free_port
from components.data.arrays import open_split, save_split
from tests.conftest import SECRET, Environment, Project, files_with, lines_until, synthetic

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(900)]

SPACE = {"learning_rate": {"log_uniform": [0.0005, 0.02]}, "dropout": {"uniform": [0.2, 0.5]}}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of synthetic digits, split, with a small space."""
    project = Project(tmp_path_factory.mktemp("sweep") / "project")
    project.change(mnist__source=synthetic("mnist"), cnn__epochs=4, sweep__cnn=SPACE, search__grace=2)
    assert project.run("dvc", "repro", "prepare@cnn").returncode == 0
    yield project
    project.end()


@pytest.fixture
def values_back(ready: Project) -> Iterator[None]:
    """params.yaml as it was, afterwards."""
    file = ready.folder / "params.yaml"
    text = file.read_text()
    yield
    file.write_text(text)


def trials(project: Project, name: str = "cnn") -> pd.DataFrame:
    return pd.read_csv(project.folder / "data/sweeps" / name / "trials.csv", keep_default_na=False)


def ends(project: Project) -> list[Path]:
    return sorted((project.folder / ".runs/sweep@cnn").glob("*/trials/*/end.json"))


def kill(project: Project, process: subprocess.Popen[str]) -> None:
    """The driver alone: its Ray has to end by itself."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    project.started.remove(process)


def test_a_sweep_killed_five_times_ends_every_trial_once(ready: Project, values_back: None) -> None:
    chance = random.Random()
    ready.change(cnn__epochs=16, search__grace=0, search__seed=chance.randrange(10**6))
    before: dict[Path, int] = {}
    for kill_number in range(5):
        process = ready.start("components.tune", "cnn", "--trials", "16")
        list(lines_until(process, "at once"))
        if kill_number % 2 == 0:  # however slow the machine is, some trials end between the kills
            list(lines_until(process, "of 16 ended"))
            time.sleep(chance.uniform(0, 2))
        else:
            time.sleep(chance.uniform(5, 9))
        kill(ready, process)
        now = {file: file.stat().st_mtime_ns for file in ends(ready)}
        assert before.items() <= now.items(), "what had ended was not touched again"
        before = now
    assert 0 < len(before) < 16, "the kills fell into the sweep"
    done = ready.run("components.tune", "cnn", "--trials", "16")
    assert done.returncode == 0, done.stdout
    assert f"{len(before)} ended before" in done.stdout
    assert before.items() <= {file: file.stat().st_mtime_ns for file in ends(ready)}.items()
    assert [*trials(ready)["trial"]] == list(range(16))
    assert set(trials(ready)["outcome"]) == {"finished"}
    told = [int(number) for number in re.findall(r"cnn  trial (\d+):", done.stdout)]
    assert len(told) == len(set(told)) == 16 - len(before)
    assert not trials(ready).duplicated(["dropout", "learning_rate"]).any(), (
        "the search went on instead of starting anew"
    )


def test_the_same_command_again_trains_nothing_and_more_trials_go_on(ready: Project) -> None:
    first = ready.run("components.tune", "cnn", "--trials", "3")
    assert first.returncode == 0, first.stdout
    started = time.monotonic()
    again = ready.run("components.tune", "cnn", "--trials", "3")
    assert "all 3 trials had ended before; nothing was trained" in again.stdout
    assert time.monotonic() - started < 30
    more = ready.run("components.tune", "cnn", "--trials", "4")
    assert "3 ended before" in more.stdout
    assert len(trials(ready)) == 4


def test_values_that_crash_are_recorded_with_the_reason_and_the_sweep_goes_on(
    ready: Project, values_back: None
) -> None:
    wide, too_many = [4, 1], [1] * 14
    ready.change(sweep__cnn={**SPACE, "filters": {"choice": [wide, [8], too_many]}}, search__method="random")
    done = ready.run("components.tune", "cnn", "--trials", "12")
    assert done.returncode == 0, done.stdout
    table = trials(ready)
    failed = table[table["outcome"] == "failed"]
    assert 0 < len(failed) < 12
    assert set(failed["filters"]) == {json.dumps(too_many)}
    assert all("models.cnn.filters: 14 convolutions" in reason for reason in failed["reason"])
    assert (table["outcome"] == "finished").sum() > 0
    assert "best accuracy" in done.stdout
    assert "Traceback" not in done.stdout
    shown = json.loads((ready.folder / "data/sweeps/cnn/tables.json").read_text())["tables"]
    assert [each["title"] for each in shown] == ["The best trials", "Trials that failed"]


def test_a_sweep_of_which_nothing_trains_says_so_and_applies_nothing(ready: Project, values_back: None) -> None:
    ready.change(cnn__learning_rate=1e30, sweep__cnn={"learning_rate": {"log_uniform": [1e29, 1e30]}})
    before = (ready.folder / "params.yaml").read_text()
    done = ready.run("components.tune", "cnn", "--trials", "2", "--apply")
    assert done.returncode == 1
    assert "no trial trained to its end" in done.stdout
    assert "the gradients explode" in "".join(trials(ready)["reason"])
    assert "Traceback" not in done.stdout
    assert (ready.folder / "params.yaml").read_text() == before


def test_ctrl_c_ends_in_seconds_with_the_best_so_far(ready: Project, values_back: None) -> None:
    ready.change(search__seed=7, cnn__epochs=10)
    process = ready.start("components.tune", "cnn", "--trials", "50")
    list(lines_until(process, "2 of 50 ended"))
    started = time.monotonic()
    said = ready.interrupt(process)
    assert time.monotonic() - started < 15
    assert process.returncode == 130, said
    assert "stopped; the same command goes on with what is left" in said
    assert "Traceback" not in said
    assert 2 <= (trials(ready)["outcome"] != "not ended").sum() < 50


def test_dvc_repro_takes_over_the_winner_and_training_it_anew_gives_the_same_figure(
    ready: Project, values_back: None
) -> None:
    """As many cores for a trial as for a training: then not even the last digit differs."""
    done = ready.run("components.tune", "cnn", "--trials", "4", "--cpus", str(os.cpu_count()), "--apply")
    assert done.returncode == 0, done.stdout
    best = json.loads((ready.folder / "data/sweeps/cnn/best.json").read_text())
    taken = ready.run("dvc", "repro", "train@cnn")
    assert "already trained" in taken.stdout
    assert figure(ready, best) == best["validation_accuracy"]
    (ready.folder / ".runs/train@cnn").rename(ready.folder / ".runs/gone")
    anew = ready.run("dvc", "repro", "--force", "--single-item", "train@cnn")
    assert "already trained" not in anew.stdout
    assert figure(ready, best) == best["validation_accuracy"]


def figure(project: Project, best: dict[str, Any]) -> float:
    """The validation accuracy of the trained model's kept epoch, which is the trial's."""
    history = pd.read_csv(project.folder / "data/models/cnn/history.csv").set_index("epoch")
    described = json.loads((project.folder / "data/models/cnn/model.json").read_text())
    assert described["epoch"] == best["epoch"]
    assert {key: described["config"][key] for key in best["values"]} == best["values"]
    return float(history.loc[described["epoch"], "validation_accuracy"])


def test_a_population_trains_and_takes_over_better_ones(ready: Project, values_back: None) -> None:
    ready.change(search__method="pbt", search__grace=1, cnn__epochs=6)
    done = ready.run("components.tune", "cnn", "--trials", "4", "--apply")
    assert done.returncode == 0, done.stdout
    assert "`dvc repro` trains it" in done.stdout, "the winner's values changed on the way, so its model is not theirs"
    assert set(trials(ready)["outcome"]) == {"finished"}
    inside = trials(ready)["learning_rate"].between(0.0005, 0.02)
    assert inside.all()


def test_trials_of_several_workers_each_do_not_wait_for_each_other_forever(ready: Project, values_back: None) -> None:
    ready.change(search__seed=13)  # a sweep of its own
    done = ready.run("components.tune", "cnn", "--trials", "2", "--workers", "2", seconds=200)
    assert done.returncode == 0, done.stdout
    assert "1 trial at once, with 1 CPU core for each of 2 workers" in done.stdout
    assert [*trials(ready)["outcome"]] == ["finished"] * 2


@pytest.fixture
def two_nodes(ready: Project, session: Path) -> Iterator[dict[str, Any]]:
    """A head and a second node on this machine, with one core each; the environment that joins them."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    ray = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--block",
        "--num-cpus=1",
        "--node-ip-address=127.0.0.1",
    ]
    head = [*ray, "--head", f"--port={port}", "--include-dashboard=false", f"--ray-client-server-port={free_port()}"]
    head += [f"--temp-dir={session}"]
    nodes = []
    try:
        for command in (head, [*ray, f"--address={address}"]):
            process = subprocess.Popen(
                command, env={**ready.environment, **own}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            nodes.append(process)
            list(lines_until(process, "Ray runtime started"))
        yield {**own, "RAY_ADDRESS": address}
    finally:
        for process in reversed(nodes):
            process.terminate()
            process.communicate(timeout=60)


def test_trials_run_on_both_nodes_of_a_cluster_whose_logs_hold_no_key(
    ready: Project, two_nodes: dict[str, Any], session: Path, values_back: None
) -> None:
    ready.change(search__seed=11)
    keys: Environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET}
    done = ready.run("components.tune", "cnn", "--trials", "6", **two_nodes, **keys)
    assert done.returncode == 0, done.stdout
    assert "2 trials at once, with 1 CPU core each" in done.stdout
    assert trials(ready)["node"].nunique() == 2
    assert files_with(session, "PL_DISABLE_FORK"), "Ray logs the variables that Tune brings to trials"
    assert not files_with(session, SECRET)


def test_growth_on_200_digits_ends_early_since_it_overfits(ready: Project, values_back: None) -> None:
    ready.change(cnn__filters=[8, 8], cnn__epochs=40, cnn__batch_size=32, cnn__dropout=0.0, cnn__learning_rate=0.003)
    ready.change(grow__seeds=1, grow__refine=0)
    folder = ready.folder / "data/split/mnist"
    whole = open_split(folder)
    arrays = {name: np.array(array) for name, array in whole.arrays.items()}  # not of the file that is written anew
    few = {**whole.rows, "train": whole.rows["train"][:200]}
    save_split(folder, arrays, few, whole.classes)
    done = ready.run("components.tune", "cnn", "--grow")
    assert done.returncode == 0, done.stdout
    assert "overfit" in done.stdout
    table = trials(ready, "cnn_grow")
    widest = max(json.loads(text)[0] for text in table["dense"])
    assert widest < 2048
    save_split(folder, arrays, whole.rows, whole.classes)


def test_the_flow_brings_the_data_searches_and_trains_the_winner(project: Project) -> None:
    project.change(sweep__cnn=SPACE)
    done = project.run("flows.sweep", "cnn", "--trials", "2", "--apply")
    assert done.returncode == 0, done.stdout
    best = json.loads((project.folder / "data/sweeps/cnn/best.json").read_text())
    assert figure(project, best) == best["validation_accuracy"]
    assert (project.folder / "data/metrics/cnn.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cnnn"], "'cnnn' is no model of params.yaml; did you mean cnn?"),
        (["ssd", "--grow"], "grow.widths.ssd: no key to widen"),
        (["cnn", "--trials", "0"], "'0' is not an integer >= 1"),
        (["lstm"], "dvc repro"),
    ],
)
def test_what_cannot_be_swept_is_one_message(ready: Project, arguments: list[str], said: str) -> None:
    done = ready.run("components.tune", *arguments)
    assert done.returncode == 2
    assert said in done.stdout
    assert "Traceback" not in done.stdout
