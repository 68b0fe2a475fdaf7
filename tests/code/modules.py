"""Which modules of this tool the stages of a run really load, told by the stages' own processes as they end."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from components.code.digests_by_step import STEPS
from components.code.imports import file_of, program
from tests.conftest import REPO

VARIABLE = "MODULES_FOLDER"
# Python imports a module of this name at its start, wherever PYTHONPATH has one.
SITECUSTOMIZE = f'''
import atexit, os, sys

def write():
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    if main is not None and main.name.startswith("components."):
        names = [name for name in sys.modules if name.startswith("components.")]
        with open(os.path.join(os.environ["{VARIABLE}"], str(os.getpid())), "w") as file:
            file.write("\\n".join([" ".join([main.name, *sys.argv[1:]]), main.name, *names]))

if "{VARIABLE}" in os.environ:
    atexit.register(write)
'''


def recording(folder: Path) -> dict[str, str]:
    """The environment in which each command of components leaves in `folder` what it loaded."""
    (folder / "site").mkdir(parents=True)
    (folder / "site/sitecustomize.py").write_text(SITECUSTOMIZE)
    (folder / "told").mkdir()
    return {"PYTHONPATH": str(folder / "site"), VARIABLE: str(folder / "told")}


def recorded(folder: Path) -> dict[str, set[str]]:
    """Stage, as data/code names it → the files of code that its processes loaded."""
    steps = {program(command): step for step, (command, _) in STEPS.items()} | {program("components.report"): "report"}
    found: dict[str, set[str]] = defaultdict(set)
    for file in (folder / "told").iterdir():
        said, *names = file.read_text().split("\n")
        command, *arguments = said.split()
        if command in steps and arguments != ["none"]:
            found["/".join([steps[command], *arguments])] |= {
                file_of(name).relative_to(REPO).as_posix() for name in names if file_of(name).read_text().strip()
            }
    return found
