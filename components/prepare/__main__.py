"""The preparation's command: what a model trains on, made once.

python -m components.prepare transfer
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.prepare", description="Make what a model trains on.")
    parser.add_argument("model", help="the name of an entry of models, such as transfer")
    given = begin(parser)

from components.params import params
from components.prepare.stage import prepare
from components.process import allocator, cores
from components.process.command import run


def main(name: str) -> None:
    cores.use()
    allocator.keep_freed()
    prepare(name, params.load())


if __name__ == "__main__":
    run(lambda: main(given.model))
