"""The code stage's command.

python -m components.code
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.code", description="Write which code each stage is made by, and check params.yaml."
    )
    given = begin(parser)

from pathlib import Path

from components.code.digests_by_step import write
from components.params import params
from components.process.command import run


def main() -> None:
    settings = params.load()
    write(settings, Path(settings.paths.code))


if __name__ == "__main__":
    run(lambda: main())
