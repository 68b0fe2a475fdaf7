"""What the gate promotes is marked in git, beside the branch, and found there after later trainings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import UserError
from components.params import params
from components.promote import promote
from flows.registry import GTO, marking
from tests.conftest import REPO, contents

DVC_YAML = """
stages:
  train:
    foreach: [cnn]
    do:
      cmd: mkdir -p ${paths.models}/${item} && cp seed ${paths.models}/${item}/model.safetensors
      deps: [seed]
      outs: ["${paths.models}/${item}"]
"""


@pytest.fixture(autouse=True)
def nobody_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_") or name == "EMAIL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


class Trained:
    """A project with one stage that trains `cnn`: its weights are what the file `seed` says."""

    def __init__(self, folder: Path, committed: params.Params) -> None:
        self.folder, self.models = folder, folder / "data/models"
        own = {"models": str(self.models), "metrics": str(folder / "data/metrics")}
        general = committed.general.model_copy(update={"paths": committed.paths.model_copy(update=own)})
        self.settings = replace(committed, general=general)
        ignored = ("data/models/.gitignore", "data/metrics/.gitignore")
        for name in (".gitignore", ".dvc/config", ".dvc/.gitignore", *ignored):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPO / name, folder / name)
        (folder / "params.yaml").write_text("paths: {models: data/models}\n")
        (folder / "dvc.yaml").write_text(DVC_YAML)
        (folder / "seed").write_text("untrained")

    def said(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def git(self, *arguments: str) -> str:
        return self.said("git", *arguments)

    def commit(self) -> None:
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("-c", "user.name=user", "-c", "user.email=user@example.com", "commit", "--quiet", "--message=first")

    def tags(self) -> list[str]:
        return self.git("tag", "--list").splitlines()

    def train_by_dvc(self, weights: str) -> None:
        (self.folder / "seed").write_text(weights)
        self.said(sys.executable, "-m", "dvc", "repro", "--quiet")

    def train(self, weights: str) -> None:
        """As far as the gate and git see a training."""
        (self.models / "cnn").mkdir(parents=True, exist_ok=True)
        (self.models / "cnn/model.safetensors").write_text(weights)
        (self.folder / "dvc.lock").write_text(f"weights: {weights}\n")

    def pass_gate(self, accuracy: float = 0.9, models: tuple[str, ...] = ("cnn",), tag: bool = True) -> list[str]:
        """What the log says after a run's gate."""
        (self.folder / "data/metrics/cnn.json").write_text(json.dumps({"accuracy": accuracy, "loss": 0.1}))
        log: list[str] = []
        with marking(self.folder, {"paths": {"models": "data/models"}, "promotion": {"tag": tag}}, log.append):
            for model in models:
                promote(model, self.settings)
        return log

    def of_the_user(self) -> dict[str, bytes]:
        """Every file but what the gate may leave: objects and tags of git, models and measures."""
        ours = (".git/objects/", ".git/refs/tags/", "data/")
        return {name: content for name, content in contents(self.folder).items() if not name.startswith(ours)}


@pytest.fixture
def trained(tmp_path: Path, committed: params.Params) -> Trained:
    return Trained(tmp_path / "project", committed)


@pytest.mark.slow
@pytest.mark.processes
def test_the_promoted_model_is_found_after_a_later_training(trained: Trained) -> None:
    trained.commit()
    trained.train_by_dvc("good")
    lock = (trained.folder / "dvc.lock").read_text()
    told = "cnn: marked in git as cnn#production#1; `dvc artifacts get . cnn --stage production` brings it"
    assert trained.pass_gate(0.9) == [told]
    trained.train_by_dvc("bad")
    assert trained.pass_gate(0.1) == []
    assert trained.git("show", "cnn#production#1^{commit}:dvc.lock") == lock.strip()
    assert (trained.folder / "dvc.lock").read_text() != lock
    trained.said(sys.executable, "-m", "dvc", "artifacts", "get", ".", "cnn", "--stage", "production", "-o", "found")
    assert (trained.folder / "found/model.safetensors").read_text() == "good"


@pytest.mark.slow
@pytest.mark.processes
def test_each_newly_promoted_model_gets_the_next_number_and_the_same_one_none(trained: Trained) -> None:
    trained.commit()
    for weights, accuracy, tags in (("first", 0.9, 1), ("first", 0.9, 1), ("worse", 0.1, 1), ("better", 0.95, 2)):
        trained.train(weights)
        trained.pass_gate(accuracy)
        time.sleep(1)  # of two tags of one second, gto shows either as the newer: its dates are whole seconds
        assert trained.tags() == ["cnn#production#1", "cnn#production#2"][:tags]
    commit = trained.git("rev-parse", "cnn#production#2^{commit}")
    assert trained.git("show", f"{commit}:dvc.lock") == "weights: better"
    shown = json.loads(trained.said(*GTO, "show", "--json"))
    assert shown["cnn"]["stage"] == {"production": commit}


@pytest.mark.slow
@pytest.mark.processes
def test_branch_index_and_files_stay_as_they_are(trained: Trained) -> None:
    trained.commit()
    trained.train("good")
    (trained.folder / "seed").write_text("staged")
    trained.git("add", "seed")
    (trained.folder / "seed").write_text("not staged")
    before = trained.of_the_user()
    trained.pass_gate()
    assert trained.of_the_user() == before
    tag = "cnn#production#1"
    assert trained.git("cat-file", "-t", tag) == "tag"
    assert trained.git("rev-parse", f"{tag}^{{commit}}^") == trained.git("rev-parse", "HEAD")
    assert trained.git("diff", "--name-only", "HEAD", tag) == "dvc.lock\ndvc.yaml"
    assert trained.git("status", "--porcelain", "--untracked-files=all").splitlines() == ["MM seed", "?? dvc.lock"]


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("name", ["trainyard", "Ada"])
def test_the_tag_is_the_users_or_where_nobody_is_configured_trainyards(trained: Trained, name: str) -> None:
    trained.commit()
    if name != "trainyard":
        trained.git("config", "user.name", name)
        trained.git("config", "user.email", "ada@example.com")
    trained.train("good")
    trained.pass_gate()
    assert trained.git("log", "-1", "--format=%an %cn", "cnn#production#1") == f"{name} {name}"
    assert trained.git("tag", "--list", "--format=%(taggername)") == name


@pytest.mark.slow
@pytest.mark.processes
def test_what_was_promoted_before_the_gate_failed_is_marked(trained: Trained) -> None:
    trained.commit()
    trained.train("good")
    with pytest.raises(UserError, match="no trained and tested model"):
        trained.pass_gate(models=("cnn", "lstm"))
    assert trained.tags() == ["cnn#production#1"]


@pytest.mark.slow
@pytest.mark.processes
def test_what_gto_refuses_is_told(trained: Trained) -> None:
    (trained.folder / ".gto").write_text("stages: [dev]\n")
    trained.commit()
    trained.train("good")
    assert "Allowed stages are" in trained.pass_gate()[0]


def test_without_a_commit_or_a_lock_the_model_is_promoted_and_the_log_says_how_to_mark_it(trained: Trained) -> None:
    trained.train("first")
    mend = "once that is mended, commit dvc.lock and run `gto assign cnn --stage production`"
    [told] = trained.pass_gate()
    assert told.startswith("cnn: promoted, but not marked in git: not a git repository")
    assert told.endswith(mend)
    trained.git("init", "--quiet")
    trained.train("second")
    assert trained.pass_gate() == [f"cnn: promoted, but not marked in git: git has no commit yet; {mend}"]
    trained.commit()
    trained.train("third")
    (trained.folder / "dvc.lock").unlink()
    [told] = trained.pass_gate()
    assert "could not open 'dvc.lock'" in told
    assert trained.tags() == []


def test_a_folder_of_another_repository_is_not_marked(trained: Trained) -> None:
    trained.train("good")
    subprocess.run(["git", "init", "--quiet"], cwd=trained.folder.parent, check=True)
    assert "not the top folder of its git repository" in trained.pass_gate()[0]


def test_nothing_is_marked_where_tags_are_off(trained: Trained) -> None:
    trained.commit()
    trained.train("good")
    assert trained.pass_gate(tag=False) == []
    assert (trained.models / "promoted/cnn/model.safetensors").read_text() == "good"
    assert trained.tags() == []
