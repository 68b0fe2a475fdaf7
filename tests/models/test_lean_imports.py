"""A backbone is loaded without torch's compiler, which is there whole for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPO

BACKBONE = (
    "import sys; from components.models.backbones.networks import load_backbone\n"
    "load_backbone('mobilenetv3_small_050', '')\n"
)


def said(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=REPO, text=True, capture_output=True, check=True).stdout


def test_a_backbone_of_timms_brings_no_compiler() -> None:
    there = said(BACKBONE + "print(*{'torch._dynamo', 'torch._inductor', 'sympy', 'triton', 'timm'} & {*sys.modules})")
    assert there.split() == ["timm"]


@pytest.mark.slow
def test_what_asked_for_the_compiler_gets_its_answer() -> None:
    code = (
        "import torch; from torchvision.ops import roi_align; torch.use_deterministic_algorithms(True)\n"
        "print(tuple(roi_align(torch.ones(1, 3, 8, 8), [torch.tensor([[0, 0, 4.0, 4.0]])], 2).shape))\n"
        "from torchvision.ops.roi_align import is_compile_supported; print(is_compile_supported('cpu'))\n"
        "from torch._dynamo.utils import is_compile_supported as own; print(own('cpu'))\n"
        "print(torch.compiler.disable.__module__)\n"
    )
    assert said(BACKBONE + code).splitlines() == ["(1, 3, 2, 2)", "True", "True", "torch.compiler"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["transfer", "ssd"])
def test_a_model_on_a_backbone_is_built_without_the_compiler(model: str) -> None:
    code = (
        "import sys; from components.params import params; from components.data.arrays import DataSpec\n"
        "from components.models.task import load_task\n"
        f"config = params.load().sections['{model}']\n"
        f"load_task('{model}').build(config, DataSpec((3, 180, 180), ('one', 'other')))\n"
        "print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)\n"
    )
    assert said(code).split() == ["False", "False"]
