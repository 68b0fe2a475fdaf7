"""Published networks as chains of steps and lists of layers: what is counted, run, frozen and refused."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from components.errors import UserError
from components.models.backbones.__main__ import main
from components.models.backbones.layers import Layer, chosen_layers, layers_of
from components.models.backbones.networks import Backbone, load_backbone

KEY = "transfer.backbone"
MORE = ("mobilenetv3_large_100", "convnext_atto", "densenet121", "regnetx_002")
TIMM = (
    "resnet18",
    "efficientnet_lite0",
    "vgg16",
    "legacy_xception",
    *(pytest.param(n, marks=pytest.mark.slow) for n in MORE),
)
TORCHVISION = ("mobilenet_v3_large", "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf")


def backbone_of(name: str, freeze: int | str = 0) -> Backbone:
    backbone = load_backbone(name, KEY)
    backbone.freeze(chosen_layers(layers_of(backbone.net), freeze, "transfer.freeze"))
    return backbone


def random_images(count: int = 2, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def parameters(model: nn.Module, trained: bool = False) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def keras_count(model: nn.Module) -> int:
    """Keras counts batch norm's running means and variances as parameters which are not trained."""
    return parameters(model) + sum(b.numel() for n, b in model.named_buffers() if n.endswith(("mean", "_var")))


def test_vgg16_without_its_classifier_has_the_notes_14714688_parameters() -> None:
    assert parameters(backbone_of("vgg16.tv_in1k")) == 14_714_688


def test_xception_without_its_classifier_has_20861480_parameters_in_keras_count() -> None:
    assert keras_count(backbone_of("legacy_xception.tf_in1k").net) == 20_861_480


def test_keras_layers_are_19_of_vgg16_and_132_of_xception() -> None:
    assert len(layers_of(backbone_of("vgg16").net)) == 19
    assert len(layers_of(backbone_of("legacy_xception").net)) == 132


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_the_chain_of_steps_computes_what_timms_whole_network_does(name: str) -> None:
    backbone = backbone_of(name).eval()
    whole = timm.create_model(name, pretrained=False, num_classes=0).eval()
    taken = whole.load_state_dict(backbone.net.state_dict(), strict=False)
    assert not taken.unexpected_keys
    used = {step.split(".")[0] for step in backbone.steps}
    assert not used & {key.split(".")[0] for key in taken.missing_keys}
    assert len(backbone.steps) > 4
    with torch.no_grad():
        expected = whole.forward_features(backbone.normalised(random_images()))  # type: ignore[operator]
        assert torch.allclose(backbone(random_images()), expected, atol=1e-5)


def test_the_chain_of_steps_computes_what_torchvisions_features_do() -> None:
    backbone = backbone_of("mobilenet_v3_large").eval()
    whole = torchvision.models.mobilenet_v3_large(weights=None).eval()
    whole.features.load_state_dict(backbone.net.get_submodule("features").state_dict())
    assert len(backbone.steps) > 4
    with torch.no_grad():
        expected = whole.features(backbone.normalised(random_images()))
        assert torch.allclose(backbone(random_images()), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TIMM, "mobilenet_v3_large"])
def test_two_halves_of_the_chain_are_the_whole_wherever_it_is_cut(name: str) -> None:
    backbone = backbone_of(name).eval()
    with torch.no_grad():
        images = backbone.normalised(random_images(1))
        whole = backbone.run(images)
        for cut in (1, len(backbone.steps) // 2, len(backbone.steps) - 1):
            half = backbone.run(images, last=cut)
            assert half.shape[1:] == backbone.output_shape((3, 64, 64), last=cut)
            assert torch.equal(backbone.run(half, first=cut), whole)


def test_dropped_steps_are_freed_and_the_rest_runs_on_their_outputs() -> None:
    backbone = backbone_of("resnet18", "layer3").eval()
    with torch.no_grad():
        features = backbone.run(backbone.normalised(random_images()), last=backbone.frozen_steps)
        expected = backbone(random_images())
        first = backbone.frozen_steps
        backbone.drop(first)
        assert torch.equal(backbone.run(features, first=first), expected)
    assert {name.split(".")[0] for name in backbone.net.state_dict()} == {"layer4"}


def test_the_first_tensor_that_the_network_sees_is_normalised_as_imagenet_was() -> None:
    backbone = backbone_of("resnet18")
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    assert backbone.normalised(grey).abs().max() < 1e-6
    white = backbone.normalised(torch.ones(1, 3, 1, 1)).flatten()
    assert white.tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


@pytest.mark.parametrize(("name", "meant"), [("resnet81", "resnet18"), ("vgg_16", "vgg16"), ("mobilnet_v2", "mobil")])
def test_an_unknown_network_is_answered_with_the_nearest_known_one(name: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"^transfer\.backbone: .*{name!r}; did you mean {meant}"):
        load_backbone(name, KEY)


def test_a_name_that_timm_gave_up_is_answered_with_the_present_one() -> None:
    with pytest.raises(UserError, match=r"transfer\.backbone: timm calls 'tv_resnet50' resnet50\.tv_in1k now"):
        load_backbone("tv_resnet50", KEY)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "vit_b_16"])
def test_a_network_without_a_map_of_features_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"transfer\.backbone: .*{name!r} is no"):
        load_backbone(name, KEY)


def names(layers: list[Layer]) -> list[str]:
    return [layer.name for layer in layers]


def test_layers_are_frozen_by_count_by_name_or_all() -> None:
    layers = layers_of(backbone_of("vgg16").net)
    assert names(chosen_layers(layers, 0, "k")) == []
    assert names(chosen_layers(layers, 3, "k")) == ["input", "features.0", "features.2"]
    assert chosen_layers(layers, "features.2", "k") == chosen_layers(layers, 3, "k")
    assert chosen_layers(layers, "all", "k") == layers


def test_a_name_of_many_layers_freezes_up_to_its_last_one() -> None:
    backbone = backbone_of("resnet18", "layer2")
    trained = {name.split(".")[0] for name, p in backbone.net.named_parameters() if p.requires_grad}
    assert trained == {"layer3", "layer4"}


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        (20, "20 is not in 0 to 19"),
        (-1, "-1 is not in 0 to 19"),
        ("features.99", r"no layer 'features\.99'; did you mean features\.9\?"),
        ("blok5", "no layer 'blok5'"),
    ],
)
def test_a_layer_that_is_not_there_names_the_setting(freeze: int | str, said: str) -> None:
    with pytest.raises(UserError, match=rf"^transfer\.freeze: .*{said}"):
        chosen_layers(layers_of(backbone_of("vgg16").net), freeze, "transfer.freeze")


def test_with_17_layers_frozen_only_block5_conv3_of_vgg16_trains() -> None:
    backbone = backbone_of("vgg16", 17)
    assert [n for n, p in backbone.net.named_parameters() if p.requires_grad] == [
        "features.28.weight",
        "features.28.bias",
    ]
    assert backbone.steps[backbone.frozen_steps] == "features.28"


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "legacy_xception", "mobilenet_v3_large"])
def test_a_training_step_moves_the_statistics_of_batch_norms_that_train_and_no_others(name: str) -> None:
    backbone = load_backbone(name, KEY)
    layers = layers_of(backbone.net)
    backbone.freeze(layers[: len(layers) // 2])
    before = {n: t.clone() for n, t in backbone.net.state_dict().items()}
    backbone.eval().train()
    backbone(random_images(4)).mean().backward()
    torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1).step()
    after = backbone.net.state_dict()
    frozen = {n for n, m in backbone.net.named_modules() if any(m is f for f in backbone.frozen)}
    inside = {n for n in before if any(n.startswith(f"{f}.") for f in frozen)}
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    statistics = {n for n in before if n.endswith("running_mean")}
    assert not moved & inside
    assert statistics & inside
    assert statistics - inside
    assert statistics - inside <= moved


def test_nothing_frozen_is_no_frozen_beginning_and_all_is_the_whole_chain() -> None:
    assert backbone_of("resnet18", 0).frozen_steps == 0
    whole = backbone_of("resnet18", "all")
    assert whole.frozen_steps == len(whole.steps)
    assert parameters(whole, trained=True) == 0


def test_a_frozen_beginning_gives_the_same_in_training_wherever_the_count_falls() -> None:
    # torchvision's EfficientNets skip whole blocks at random in training, by a layer at each block's end.
    layers = layers_of(load_backbone("efficientnet_v2_s", KEY).net)
    last = max(n for n, layer in enumerate(layers) if layer.name.startswith("features.2."))
    assert layers[last].name.endswith("stochastic_depth")
    backbone = backbone_of("efficientnet_v2_s", last).train()
    images = random_images(8, 32)
    with torch.no_grad():
        outputs = [backbone.run(images, last=backbone.frozen_steps) for _ in range(2)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", ["vgg16", "densenet121"])
def test_an_image_too_small_for_the_network_is_one_message(name: str) -> None:
    with pytest.raises(UserError, match=r"an image of 8 x 8 does not fit this backbone; it is too small"):
        backbone_of(name).output_shape((3, 8, 8))


def test_the_shape_of_the_features_is_known_without_computing_them() -> None:
    backbone = backbone_of("vgg16")
    assert backbone.output_shape((3, 180, 180)) == (512, 5, 5)
    assert all(p.device.type == "cpu" for p in backbone.parameters())


def test_the_layers_are_listed_with_their_numbers_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    main("vgg16")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 19
    assert lines[1].split() == ["2", "features.0", "1,792", "parameters"]
    assert sum(int(line.split()[2].replace(",", "")) for line in lines) == 14_714_688
