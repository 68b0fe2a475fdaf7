"""The user's own files outside the project, which DVC does not watch: whether they changed since they were copied."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORDS = "sources"  # in the scratch folder; components/data/own_files.py's, which flows cannot import


def changed(folder: Path, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Download stage → why it has to copy anew, for each whose files are other ones than it copied.

    values: params.yaml's.
    """
    scratch = folder / values["paths"]["runs"]
    if not (scratch / RECORDS).is_dir():
        return {}
    sources = {name: own["source"] for name, own in values.items() if isinstance(own, Mapping) and own.get("source")}
    command = [sys.executable, "-m", "components.data.own_files", str(scratch), values["paths"]["raw"]]
    command.append(json.dumps(sources))
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    changed: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    return {f"download@{name}": [f"the files in {place} changed"] for name, place in changed.items()}
