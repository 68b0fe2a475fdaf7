"""What the tests of infra/ share: its files, read, and small programs that import Ray elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import REPO

INFRA = REPO / "infra"
FILES = sorted([*INFRA.glob("*.yaml"), *INFRA.glob("kuberay/*.yaml"), INFRA / "Dockerfile"])
SECRET = re.compile("KEY|TOKEN|PASSWORD|SECRET|AUTH_STRING|CONNECTION_URL")


def loaded(text: str) -> Any:
    return YAML(typ="safe").load(text)


def read(name: str) -> Any:
    return loaded((INFRA / name).read_text())


def in_ray(code: str, given: Any) -> Any:
    """The last line of a small program that imports Ray. A test must not import it: Ray then reads its settings."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, input=json.dumps(given), text=True, capture_output=True, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def pin(package: str) -> str:
    """A package's version in requirements.txt."""
    found = re.search(rf"^{package}==(\S+)", (REPO / "requirements.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]
