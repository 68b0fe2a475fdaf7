"""The whole chain, Prefect to DVC to Ray: it runs, is quiet when nothing changed, and names what failed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from components.cluster.joining import free_port
from tests.code.modules import recorded, recording
from tests.conftest import AUTOENCODERS, PRETRAINED, TEXTS, Project, lines_until, synthetic, with_small_images

WHOLE_PIPELINE_SECONDS = 1500  # 54 stages; most often a third of this
pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(2 * WHOLE_PIPELINE_SECONDS)]

MODELS = ("prepare", "train", "evaluate")
DATA = ("mnist", "fashion", "flowers", "voc", "reviews")
STUDIES = ("reuse", "manifold", "anomaly", "gradient_reach")
STAGES = (
    "code",
    "download@mnist",
    "preprocess@mnist",
    "split@mnist",
    "prepare@cnn",
    "train@cnn",
    "evaluate@cnn",
    "report",
)
CNN = "evaluate@cnn"
MAY_BE_NEEDED = {  # imported in functions, by a run of another size
    *("train/worker", "train/process_group", "train/progress_file"),  # by several workers
    # By more texts than one machine takes.
    *(f"cluster/{name}" for name in ("joining", "placement", "settings", "storage", "folders")),
    *("process/cores", "data/text/parallel"),
    # By texts, which a download leaves unread.
    *(f"data/formats/{name}" for name in ("csv_table", "image_table", "json_table", "table_files", "tables")),
    *("data/formats/folders", "data/formats/text_files"),
    *("data/text/stage", "data/text/rows", "data/text/words", "plots/tables", "plots/metric", "made_once"),
}
OTHERS = (
    *(
        f"{stage}@{data}"
        for stage in ("download", "preprocess", "split")
        for data in ("fashion", "flowers", "reviews", "voc")
    ),
    *(f"study@{study}" for study in STUDIES),
    *("none", "baseline@tfidf", "weights@efficientnet_lite0"),
    *(
        f"{stage}@{model}"
        for stage in ("prepare", "train", "evaluate")
        for model in (*TEXTS, *AUTOENCODERS, *PRETRAINED)
    ),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str]]:
    """A project whose whole pipeline has run once, on few images and from no weights, and what that printed."""
    project = with_small_images(tmp_path_factory.mktemp("ran"), has_run_before=False)
    project.change(mnist__source=synthetic("mnist"), cnn__epochs=2, reviews__source=synthetic("reviews"))
    project.change(**{f"{model}__epochs": 1 for model in (*PRETRAINED, *TEXTS, *AUTOENCODERS)})
    project.change(reuse__steps=20, reuse__seeds=1, manifold__epochs=1, gradient_reach__training_steps=2)
    modules = recording(project.folder.parent / "modules")
    done = project.run("flows.pipeline", seconds=WHOLE_PIPELINE_SECONDS, **modules)
    assert done.returncode == 0, done.stdout
    yield project, done.stdout
    project.end()


def outcomes(printed: str) -> dict[str, str]:
    """Stage → what the closing table says of it."""
    rows = re.findall(r"^(\S+) +(ran|unchanged|cached) +[\d.]+ s$", printed, re.MULTILINE)
    return dict(rows)


def test_everything_runs_and_the_last_line_is_the_reports_path(ran: tuple[Project, str]) -> None:
    project, printed = ran
    assert outcomes(printed) == dict.fromkeys((*STAGES, *OTHERS), "ran")
    assert re.search(r"cnn  epoch 1/2  loss .*  validation: loss .* examples/s  .* left", printed)
    page = re.fullmatch(r"Report: (.+)", printed.splitlines()[-1])
    assert page
    assert Path(page[1]) == project.folder / "data/report/index.html"
    assert "<svg" in Path(page[1]).read_text()


def test_each_stage_loaded_the_code_that_it_depends_on_and_no_other(ran: tuple[Project, str]) -> None:
    """At least what is imported first, and at most what is imported anywhere, in functions too."""
    project, _ = ran
    loaded = recorded(project.folder.parent / "modules")
    assert len(loaded) == len((*STAGES, *OTHERS)) - 2, "all but `code` itself and `none`"
    for stage, files in loaded.items():
        told = {line.split()[1] for line in (project.folder / "data/code" / stage).read_text().splitlines()}
        depended = {name for name in told if name.endswith(".py")}
        assert files <= depended, stage
        unused = {name.removeprefix("components/").removesuffix(".py") for name in depended - files}
        assert unused <= MAY_BE_NEEDED, stage


def test_a_comment_runs_the_code_stage_alone(ran: tuple[Project, str]) -> None:
    project, _ = ran
    with (project.folder / "components/train/loop.py").open("a") as file:
        file.write("# Nothing.\n")
    planned = project.run("flows.pipeline", "--plan").stdout
    assert "Nothing to do: all 54 stages are up to date." in planned
    done = project.run("dvc", "repro")
    assert "Data and pipelines are up to date" in done.stdout


def test_a_second_run_trains_nothing_says_so_and_is_quick(ran: tuple[Project, str]) -> None:
    project, _ = ran
    started = time.monotonic()
    done = project.run("flows.pipeline")
    assert time.monotonic() - started < 60
    assert outcomes(done.stdout) == dict.fromkeys((*STAGES, *OTHERS), "unchanged")
    assert "nothing was trained" in done.stdout
    assert "epoch" not in done.stdout


def test_dvc_alone_finds_nothing_to_do_after_the_flow(ran: tuple[Project, str]) -> None:
    project, _ = ran
    done = project.run("dvc", "repro")
    assert "Data and pipelines are up to date" in done.stdout


def test_dvc_shows_the_metrics_and_the_plots(ran: tuple[Project, str]) -> None:
    project, _ = ran
    metrics = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    found = {Path(file).stem: own["data"] for file, own in metrics[""]["data"].items()}
    assert set(found) == {"cnn", *PRETRAINED, *TEXTS, *AUTOENCODERS, *STUDIES, *DATA, "tfidf"}
    assert 0 <= found["cnn"]["accuracy"] <= 1
    assert 0 <= found["ssd"]["map_50"] <= 1
    done = project.run("dvc", "plots", "show", "--out", "shown")
    assert done.returncode == 0, done.stdout
    page = (project.folder / "shown/index.html").read_text()
    assert page.count("vega") > 0
    assert "mistakes.png" in page


def test_a_new_dropout_reruns_training_evaluation_and_report_and_going_back_is_cached(ran: tuple[Project, str]) -> None:
    project, _ = ran
    before = (project.folder / "data/models/cnn/model.safetensors").read_bytes()
    project.change(cnn__dropout=0.4)
    done = project.run("flows.pipeline")
    rerun = dict.fromkeys(("code", "prepare@cnn", "train@cnn", "evaluate@cnn", "report"), "ran")
    assert outcomes(done.stdout) == dict.fromkeys((*STAGES, *OTHERS), "unchanged") | rerun

    project.change(cnn__dropout=0.25)
    back = project.run("flows.pipeline")
    assert outcomes(back.stdout)["train@cnn"] == "cached"
    assert "epoch" not in back.stdout
    assert (project.folder / "data/models/cnn/model.safetensors").read_bytes() == before


def test_a_new_learning_rate_uses_the_features_that_are_there(ran: tuple[Project, str]) -> None:
    project, _ = ran
    project.change(ssd__learning_rate=0.0005)
    done = project.run("flows.pipeline", "train@ssd")
    assert outcomes(done.stdout)["train@ssd"] == "ran"
    assert outcomes(done.stdout)["weights@efficientnet_lite0"] == "unchanged"
    assert "ssd: as it was prepared before" in done.stdout


def test_the_report_compares_the_two_ways_to_find_many_objects(ran: tuple[Project, str]) -> None:
    project, _ = ran
    page = (project.folder / "data/report/index.html").read_text()
    table = page[page.index('id="many-objects"') :]
    assert re.search(r'#sliding_window">sliding window</a></td><td>329</td><td>\d+</td><td>[\d.]+%</td>', table)
    assert re.search(r'#ssd">ssd</a></td><td>3,234</td><td>\d+</td><td>[\d.]+%</td>', table)
    assert "<script" not in page


@pytest.fixture(scope="module")
def head(ran: tuple[Project, str]) -> Iterator[dict[str, Any]]:
    """A Ray head, so that each sweep need not start its own; the environment that joins it."""
    port = free_port()
    joined = {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    process = ran[0].start("components.cluster", "--port", str(port), **joined)
    list(lines_until(process, "Ray runtime started"))
    yield joined
    ran[0].interrupt(process)


@pytest.mark.parametrize("model", ["cnn", *PRETRAINED, *TEXTS, *AUTOENCODERS])
def test_every_family_is_swept_by_one_line(model: str, ran: tuple[Project, str], head: dict[str, Any]) -> None:
    project, _ = ran
    done = project.run("components.tune", model, "--trials", "2", **head)
    assert done.returncode == 0, done.stdout
    found = pd.read_csv(project.folder / f"data/sweeps/{model}/trials.csv")
    assert [*found["outcome"]] == ["finished", "finished"]
    assert (project.folder / f"data/sweeps/{model}/trials.parquet").exists()


def test_a_target_runs_only_what_it_needs(project: Project) -> None:
    done = project.run("flows.pipeline", "split@mnist")
    assert done.returncode == 0, done.stdout
    assert outcomes(done.stdout) == dict.fromkeys(STAGES[:4], "ran")


def test_ctrl_c_ends_every_process_in_seconds_and_the_same_command_goes_on(project: Project) -> None:
    project.change(cnn__epochs=8, cnn__batch_size=4)  # epochs of half a second
    process = project.start("flows.pipeline", CNN)
    list(lines_until(process, "epoch 2/8"))
    family = psutil.Process(process.pid).children(recursive=True)
    rest = project.interrupt(process)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "stopped; the same command goes on where it was"
    assert "Traceback" not in rest
    assert psutil.wait_procs(family, timeout=10)[1] == []

    done = project.run("flows.pipeline", CNN)
    assert "going on after epoch" in done.stdout
    before = dict.fromkeys((*STAGES[:5], "none"), "unchanged")
    assert outcomes(done.stdout) == before | dict.fromkeys(("train@cnn", CNN), "ran")


def test_an_unknown_target_is_refused(project: Project) -> None:
    done = project.run("flows.pipeline", "trian")
    assert done.returncode != 0
    assert "no stage is called 'trian'" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_stage_that_fails_is_named_with_its_own_message_and_nothing_follows_it(project: Project) -> None:
    (project.folder / "own").mkdir()
    (project.folder / "own" / "notes.txt").write_text("no digits")
    project.change(mnist__source="own")
    done = project.run("flows.pipeline", CNN)
    assert done.returncode == 1
    assert "preprocess@mnist failed" in done.stdout
    assert "there is no train-images-idx3-ubyte.gz in it" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout
    assert not (project.folder / "data/preprocessed/mnist").exists()


def test_a_source_that_is_not_there_is_told_before_anything_runs_unless_it_was_read(project: Project) -> None:
    own = project.folder / "own.yaml"
    own.write_text("generator: digits\n")
    project.change(mnist__source="own.yaml")
    assert project.run("dvc", "repro", "split@mnist").returncode == 0
    own.unlink()
    done = project.run("flows.pipeline", "split@mnist")
    assert done.returncode == 0, done.stdout
    assert "data.mnist.source: own.yaml is not there; what was read of it before is used" in done.stdout
    project.change(fashion__source="nowhere")
    done = project.run("flows.pipeline", "split@fashion")
    assert done.returncode == 1
    assert "data.fashion.source: nowhere: there is no such file or folder" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout
