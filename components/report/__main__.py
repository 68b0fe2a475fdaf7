"""The report stage's command.

python -m components.report
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.report", description="Write the report.")
    given = begin(parser)

from pathlib import Path

from components.params import params
from components.plots.file_names import TIMINGS
from components.process.command import run
from components.report.page import write_report

ORDER = ("models", "baselines", "studies", "data")  # what was reached before what it was reached on


def main() -> None:
    settings = params.load()
    paths = settings.paths
    timings = Path(paths.runs) / TIMINGS
    page = write_report(
        Path(paths.metrics),
        Path(paths.plots),
        Path(paths.images),
        timings,
        Path(paths.report),
        order=[name for group in ORDER for name in settings.groups[group]],
        sweeps=Path(paths.sweeps),
    )
    print(f"report: {page}", flush=True)


if __name__ == "__main__":
    run(lambda: main())
