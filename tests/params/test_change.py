"""An entry of params.yaml is added, taken out and renamed by lines of its own; the rest stays, to the byte."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from components.errors import ParamsError
from components.params import params
from components.params.change import add_entry, apply, as_yaml, remove_entries, rename_entry
from tests.conftest import REPO


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copyfile(REPO / "params.yaml", tmp_path / "params.yaml"))


def changed(file: Path) -> list[str]:
    """The lines that are not as they are in the project's own file, with + or -."""
    before, after = (path.read_text().splitlines() for path in (REPO / "params.yaml", file))
    return [
        line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")
    ]


def test_an_entry_is_a_line_behind_the_others(file: Path) -> None:
    said = add_entry(file, "data", "cifar", {"kind": "images", "source": "data/sources/flowers.yaml", "side": 32})
    assert said == "  cifar: {kind: images, source: data/sources/flowers.yaml, side: 32}"
    assert changed(file) == [f"+{said}"]
    add_entry(file, "models", "cnn_cifar", {"family": "cnn", "data": "cifar", "start": "none"})
    assert len(changed(file)) == 2
    assert params.load(file).entry("models", "cnn_cifar").data == "cifar"


def test_a_wide_entry_has_a_line_for_each_key(file: Path) -> None:
    source = "/photographs/of/a/very/long/name/with some spaces/in/it/and/even/more/of/them"
    said = add_entry(file, "data", "photos", {"kind": "images", "source": source, "side": 32})
    assert said == f"  photos:\n    kind: images\n    source: {source}\n    side: 32"
    assert changed(file) == [f"+{line}" for line in said.split("\n")]
    add_entry(file, "data", "more", {"kind": "images", "source": source})
    remove_entries(file, [("data", "photos")])
    remove_entries(file, [("data", "more")])
    assert changed(file) == []


def test_the_last_entry_of_a_group_leaves_an_empty_one_that_takes_the_next(file: Path) -> None:
    remove_entries(file, [("baselines", "tfidf")])
    assert "baselines: {}\n" in file.read_text()
    add_entry(file, "baselines", "tfidf", {"kind": "tfidf", "data": "reviews"})
    assert changed(file) == []


def test_an_entry_that_is_not_allowed_is_not_written(file: Path) -> None:
    with pytest.raises(ParamsError, match=r"models\.other\.data: 'nothing' is no data set"):
        add_entry(file, "models", "other", {"family": "cnn", "data": "nothing", "start": "none"})
    with pytest.raises(ParamsError, match=r"models\.cnn"):
        remove_entries(file, [("data", "mnist")])
    assert changed(file) == []
    assert [path.name for path in file.parent.iterdir()] == ["params.yaml"]


def test_a_new_name_stands_wherever_the_old_one_was_named(file: Path) -> None:
    others = [
        *(("models", name, "data") for name in ("cnn", "autoencoder", "denoising", "vae")),
        *(("studies", name, "data") for name in ("reuse", "manifold", "anomaly")),
    ]
    rename_entry(file, "data", "mnist", "digits", others)
    lines = changed(file)
    assert len(lines) == 2 * 8
    assert [line[1:].replace("data: digits", "data: mnist").replace("  digits:", "  mnist:") for line in lines[8:]]
    values = YAML(typ="safe").load(file.read_text())
    assert values["data"]["digits"]["source"] == "data/sources/mnist.yaml"
    assert values["studies"]["anomaly"] == {
        "kind": "anomaly", "data": "digits", "model": "autoencoder", "others": "fashion"
    }  # fmt: skip


def test_a_models_own_sweep_goes_along_and_a_familys_stays(file: Path) -> None:
    add_entry(file, "models", "wide", {"family": "cnn", "data": "mnist", "start": "none"})
    file.write_text(file.read_text().replace("sweep:\n", "sweep:\n  wide:\n    dropout: {uniform: [0.2, 0.5]}\n"))
    rename_entry(file, "models", "wide", "broad", [])
    rename_entry(file, "models", "cnn", "net", [])
    assert {"broad", "cnn"} < {*params.load(file).general.sweep}
    assert "wide" not in params.load(file).general.sweep


@pytest.mark.parametrize(
    "override",
    [
        "models.cnn.dropout=0.4",
        "data.flowers.side=128",
        "data.voc.source=/photos",
        "baselines.tfidf.data=other",
        "studies.anomaly.model=denoising",
        "backbones.efficientnet_lite0.weights=none",
        "evaluation.ssd.nms=0.5",
        "sweep.cnn.dropout.uniform=[0.1,0.3]",
        "search.trials=4",
        "grow.seeds=5",
        "promotion.tag=false",
        "paths.runs=scratch",
        "profile=full",
    ],
)
def test_an_experiment_of_dvcs_changes_one_line(override: str, file: Path) -> None:
    """`dvc exp run -S` writes the file by this function of DVC's."""
    apply_overrides(file, [override])
    assert [line[0] for line in changed(file)] == ["-", "+"]


def test_an_experiment_with_a_new_key_adds_to_its_entry_alone(file: Path) -> None:
    apply_overrides(file, ["+models.word2vec.epochs=3"])
    assert all("word2vec" in line for line in changed(file))
    assert YAML(typ="safe").load(file.read_text())["models"]["word2vec"]["epochs"] == 3


ODD = [
    "a b",
    "/p/c",
    "null",
    "yes",
    "3",
    "a: b",
    "#x",
    "x,y",
    "it's",
    "",
    "Ä",
    'say "x"',
    "~",
    "C:\\x",
    "- x",
    "[x]",
    "'x:",
]


@pytest.mark.parametrize("text", ODD)
def test_a_text_is_read_as_it_was_written(text: str) -> None:
    assert YAML(typ="safe").load(f"{{key: {as_yaml(text)}}}") == {"key": text}
    assert YAML(typ="safe").load(f"key: {as_yaml(text)}\n") == {"key": text}


def test_lists_of_a_wide_entry_have_a_line_for_each_item_as_dvc_writes_them(file: Path) -> None:
    values = {"family": "cnn", "data": "mnist", "start": "none", "filters": [8, 8], "dense": [], "optimizer": "nadam"}
    said = add_entry(file, "models", "a_long_name", values)
    assert "    filters:\n    - 8\n    - 8\n    dense: []\n" in said
    written = file.read_text()
    apply_overrides(file, ["search.trials=4"])
    assert file.read_text() == written.replace("trials: 30", "trials: 4")


@pytest.mark.parametrize("widths", [(16, 32, 64), (4,)])
def test_a_list_that_has_a_line_for_each_item_takes_other_items(file: Path, widths: tuple[int, ...]) -> None:
    """As --apply writes what a sweep found."""
    before = file.read_text()
    assert "    filters:\n    - 4\n    - 1\n" in before
    apply(file, "models.cnn", {"filters": widths, "dropout": 0.3})
    items = "".join(f"    - {width}\n" for width in widths)
    expected = before.replace("    filters:\n    - 4\n    - 1\n", f"    filters:\n{items}").replace("0.25", "0.3", 1)
    assert file.read_text() == expected
