"""A step's memory is kept for the next step, and not had from the system again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPO

STEPS = """
import resource, sys
import numpy as np
from components.process import allocator
if sys.argv[1] == "kept":
    allocator.keep_freed()
def step():
    return [np.ones(200_000) for _ in range(20)]  # 1.6 MB each
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str, **environment: str) -> int:
    """Of ten steps that take 32 MB each, which are 8,000 pages."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, how],
        cwd=REPO,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_a_step_has_its_pages_from_the_one_before() -> None:
    assert page_faults("kept") < 1_000 < 20_000 < page_faults("not")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_what_the_user_has_set_of_the_allocator_stays() -> None:
    assert page_faults("kept", MALLOC_TRIM_THRESHOLD_="131072") > 20_000
