"""Check params.yaml, and print its values, or what each key of an entry means.

python -m components.params
python -m components.params cnn
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ruamel.yaml import YAML

from components.params import check_cache, params
from components.process.command import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.params", description="Check params.yaml.")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of changes to it")
    parser.add_argument("--json", action="store_true", help="print the values, and which models are small, as JSON")
    parser.add_argument("--page", action="store_true", help="print all keys that there are, as Markdown")
    parser.add_argument("entry", nargs="?", help="explain each key of it: a model, a data set, a study, ...")
    given = parser.parse_args()
    if given.page:
        from components.params.page import page

        print(page(), end="")
        return
    settings = params.load()
    if given.schema:
        from components.params.schema import of_changes

        print(json.dumps(of_changes(settings)))
        return
    if given.entry:
        from components.params.explain import explain

        print(explain(settings, given.entry))
        return
    if given.json:
        print(json.dumps(check_cache.told(settings.digest, Path(settings.paths.runs)) or params.told(settings)))
        return
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.dump(params.told(settings)["values"], sys.stdout)


if __name__ == "__main__":
    run(main)
