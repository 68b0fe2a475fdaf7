"""What the tests share: a small real split, the committed config with changes, and whole copies of the project."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
import torch
from filelock import FileLock
from pyarrow import fs
from ruamel.yaml import YAML

from components.cluster.joining import free_port
from components.data.arrays import Split, open_split
from components.data.download import download
from components.data.preprocess import preprocess
from components.data.split import split
from components.data.synthetic import flowers, reviews, scenes
from components.evaluate.evaluation import Config as Evaluation
from components.evaluate.evaluation import evaluation_of
from components.models.families import cnn
from components.params import params
from components.params.declarations import GROUPS, KINDS, config_of

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

REPO = Path(__file__).resolve().parent.parent
MIRROR = REPO.parent / "shared" / "mirror"
CPU = torch.device("cpu")
SECRET = "the-s3-key-that-no-log-may-hold"
needs_mirror = pytest.mark.skipif(not MIRROR.exists(), reason="needs the mirror of public data sets")

PRETRAINED = ("transfer", "detection", "sliding_window", "ssd")
TEXTS = ("word2vec", "lstm")
SERVED = ("flows.pipeline", "flows.serve", "flows.sweep")  # commands that start a Prefect server
AUTOENCODERS = ("autoencoder", "denoising", "vae")

Config = Callable[..., cnn.Config]
Environment = dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Commands take Ctrl-C as in a terminal, even where a shell started the tests in the background: it ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


SYNTHETIC = {"mnist": "digits", "fashion": "garments", "flowers": "flowers", "voc": "scenes", "reviews": "reviews"}


def synthetic(name: str) -> str:
    """The source file of a data set's synthetic twin, from the project's folder."""
    return f"data/sources/synthetic/{SYNTHETIC[name]}.yaml"


def with_source(settings: params.Params, name: str, source: str) -> params.Params:
    """The same settings, but for where a data set comes from: synthetic, sample, full, or a path."""
    known = {"synthetic": synthetic(name), **dict.fromkeys(("sample", "full"), f"data/sources/{name}.yaml")}
    section = settings.sections[name].model_copy(update={"source": str(REPO / known.get(source, source))})
    general = (
        settings.general.model_copy(update={"profile": source}) if source in ("sample", "full") else settings.general
    )
    return replace(settings, general=general, sections={**settings.sections, name: section})


def with_data(settings: params.Params, name: str, kind: str, source: Path, **keys: Any) -> params.Params:
    """The same settings with a user's own data set more, under a name of its own."""
    values = {"kind": kind, "source": str(source), **keys}
    entry = config_of(KINDS, kind).model_validate(values, strict=False).at(f"data.{name}")
    groups = {**settings.groups, "data": (*settings.groups["data"], name)}
    return replace(settings, groups=groups, sections={**settings.sections, name: entry})


def split_of(name: str, settings: params.Params, folder: Path) -> Split:
    """A data set as the stages make it, below a folder: raw, preprocessed, split."""
    download(name, settings, folder / "raw")
    preprocess(name, settings, folder / "raw", folder / "preprocessed")
    split(name, settings, folder / "preprocessed", folder / "split")
    return open_split(folder / "split")


@contextmanager
def fewer_images() -> Iterator[None]:
    """Synthetic data are smaller than in use: 60 flowers, 40 + 12 scenes, 200 reviews."""
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(flowers, "PER_CLASS", 12)
        fewer.setattr(scenes, "TRAINING", 40)
        fewer.setattr(scenes, "TEST", 12)
        fewer.setattr(reviews, "REVIEWS", 200)
        yield


@pytest.fixture(scope="session")
def made_splits(tmp_path_factory: pytest.TempPathFactory, committed: params.Params) -> Callable[[str], Split]:
    """A data set's name → its synthetic examples, fewer images than in use, split as the stages do it."""

    @functools.cache
    def make(name: str) -> Split:
        folder = tmp_path_factory.mktemp(name)
        with fewer_images():
            return split_of(name, with_source(committed, name, "synthetic"), folder)

    return make


@pytest.fixture(scope="session")
def made_split(made_splits: Callable[[str], Split]) -> Split:
    """800 + 200 + 200 synthetic digits."""
    return made_splits("mnist")


@pytest.fixture(scope="session")
def committed() -> params.Params:
    return params.load(REPO / "params.yaml")


@pytest.fixture(scope="session")
def evaluation(committed: params.Params) -> Evaluation:
    return evaluation_of(committed)


@pytest.fixture(scope="session")
def config(committed: params.Params) -> Config:
    """The committed cnn section, with changes checked as params.yaml's are."""
    section = committed.sections["cnn"].model_dump()
    return lambda **changes: cnn.Config.model_validate({**section, **changes}, strict=False)


@pytest.fixture(scope="session", autouse=True)
def _shared_by_workers(tmp_path_factory: pytest.TempPathFactory) -> None:
    own = tmp_path_factory.getbasetemp()
    Project.shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


class Project:
    """A copy of the project in a folder of its own, as a user has it after `git clone`.

    has_run_before: whether Prefect finds an empty database there, which it else makes in some 15 seconds.
    """

    shared: Path  # a folder of all tests of this run
    has_run_before = True

    def __init__(self, folder: Path, has_run_before: bool = True) -> None:
        self.folder, self.has_run_before = folder, has_run_before
        self.started: list[subprocess.Popen[str]] = []
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=REPO,
            text=True,
            capture_output=True,
            check=True,
        ).stdout.splitlines()
        for name in files:
            if (REPO / name).is_file() and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPO / name, folder / name)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        self.environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TRAINYARD_", "PREFECT_", "AWS_"))
        }
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment["PYTHONUNBUFFERED"] = "1"
        self.environment["SHELL"] = "/bin/sh"  # which may stay between DVC and a stage, as bash does not

    def change(self, **changes: Any) -> None:
        """Set values of params.yaml: change(cnn__epochs=3) sets models.cnn.epochs."""
        yaml = YAML()
        file = self.folder / "params.yaml"
        values = yaml.load(file.read_text())
        for path, value in changes.items():
            *sections, key = path.split("__")
            group = next((group for group in GROUPS if sections and sections[0] in (values.get(group) or {})), None)
            section = values
            for name in [*([group] if group else []), *sections]:
                section = section.setdefault(name, {})
            section[key] = value
        with file.open("w") as opened:
            yaml.dump(values, opened)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start `python -m …` with both outputs in one pipe, in a process group of its own, as a terminal does."""
        if self.has_run_before and command[0] in SERVED and "--plan" not in command:
            self._put_database()
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={**self.environment, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self.started.append(process)
        return process

    def _put_database(self) -> None:
        home, made = self.folder / ".prefect", self.shared / "prefect.db"
        if home.exists():
            return
        with FileLock(f"{made}.lock"):
            if not made.exists():
                with tempfile.TemporaryDirectory() as new:
                    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
                    own = {**self.environment, "PREFECT_HOME": new}
                    subprocess.run(command, cwd=new, env=own, capture_output=True, check=True)
                    shutil.copyfile(Path(new, "prefect.db"), made)
        home.mkdir(mode=0o700)
        shutil.copyfile(made, home / "prefect.db")

    def interrupt(self, process: subprocess.Popen[str]) -> str:
        """Ctrl-C: SIGINT to the whole group. What it says from then on; it has half a minute."""
        os.killpg(process.pid, signal.SIGINT)
        return process.communicate(timeout=30)[0]

    def end(self) -> None:
        """Kill what a failed test left running, with its descendants."""
        for process in self.started:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                for member in family:
                    with suppress(psutil.NoSuchProcess):
                        member.kill()
                process.kill()
            process.communicate()
        self.started.clear()

    def run(self, *command: str, seconds: float = 500, **environment: str) -> subprocess.CompletedProcess[str]:
        """What `start` starts, when it has ended."""
        process = self.start(*command, **environment)
        output, _ = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(command, process.returncode, output, "")


def lines_until(process: subprocess.Popen[str], text: str) -> Iterator[str]:
    """What a process prints, up to the line that holds the text."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if text in line:
            return
    pytest.fail(f"{text!r} was never printed")


def with_small_images(folder: Path, has_run_before: bool = True) -> Project:
    """A project in `folder` with few flowers and scenes, a user's own folders, whose models start at random."""
    project = Project(folder / "project", has_run_before)
    with fewer_images():
        flowers.make(folder / "flowers")
        (folder / "voc").mkdir()
        scenes.make(folder / "voc")
    project.change(flowers__source=str(folder / "flowers"), voc__source=str(folder / "voc"))
    project.change(efficientnet_lite0__weights="none")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A fresh copy that trains on synthetic data, so that it needs no network."""
    copied = Project(tmp_path / "project")
    copied.change(mnist__source=synthetic("mnist"), cnn__epochs=3)
    yield copied
    copied.end()


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """A copy of the project with a chain of two stages that copy a file."""
    project = Project(tmp_path / "project")
    (project.folder / "dvc.yaml").write_text(
        "stages:\n"
        "  first: {cmd: cp in.txt first.txt, deps: [in.txt], params: [profile], outs: [first.txt]}\n"
        "  second: {cmd: cp first.txt second.txt, deps: [first.txt], outs: [second.txt]}\n"
    )
    (project.folder / "in.txt").write_text("one")
    return project


@pytest.fixture
def session() -> Iterator[Path]:
    """Where a Ray of the test's own keeps its logs; pytest's own folders are too long for its sockets."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def s3() -> Iterator[Environment]:
    """moto's S3 on loopback, with a bucket; the environment that leads there."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        address = f"http://127.0.0.1:{port}"
        s3_at(address, allow_bucket_creation=True).create_dir("bucket")
        yield {
            "TRAINYARD_STORAGE": "s3://bucket/trainyard",
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
    finally:
        server.terminate()
        server.wait()


def s3_at(address: str, **options: bool) -> fs.S3FileSystem:
    return fs.S3FileSystem(access_key="key", secret_key=SECRET, endpoint_override=address, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def files_with(folder: Path, text: str) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]
