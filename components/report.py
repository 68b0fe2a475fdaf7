"""The report stage: every model's metrics, curves and pictures as one HTML page that opens offline.

python -m components.report
"""

from __future__ import annotations

import argparse
import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components import artifact, charts, params
from components.files import whole_folder
from components.params import UserError

TEMPLATE = Path(__file__).with_name("report.html.j2")


@dataclass(frozen=True)
class Chapter:
    """One model's part of the report. Figures are SVG text; pictures are (title, data address)."""

    name: str
    headline: list[tuple[str, str]]
    finding: str
    figures: list[tuple[str, str]]
    pictures: list[tuple[str, str]]
    config: dict[str, Any]


def chapter(name: str, metrics: dict[str, float], plots: Path) -> Chapter:
    """What the evaluation stage left in `plots`, drawn."""
    history = pd.read_csv(plots / artifact.HISTORY)
    layers = pd.read_csv(plots / artifact.LAYERS)
    described = json.loads((plots / artifact.DESCRIPTION).read_text(encoding="utf-8"))
    kept = described["epoch"]
    measured = [c.removeprefix("validation_") for c in map(str, history) if c.startswith("validation_")]
    figures = [(m.capitalize(), charts.curves(history, m, kept)) for m in measured]
    if (plots / "confusion.csv").exists():
        table = pd.read_csv(plots / "confusion.csv", dtype=str)
        figures.append(("Confusion on the test part", charts.confusion(table, described["data"]["classes"])))
    figures.append(("Gradients, layer by layer", charts.gradients(layers)))
    return Chapter(
        name=name,
        headline=[
            *_headline(metrics),
            ("parameters", f"{described['parameters']:,}"),
            ("epoch kept", str(kept)),
        ],
        finding=finding(history),
        figures=figures,
        pictures=[(_title(file), _data_address(file)) for file in sorted(plots.glob("*.png"))],
        config=described["config"],
    )


def finding(history: pd.DataFrame) -> str:
    """What the loss curves say, in a sentence: still learning, overfitting, or settled."""
    best = int(history["validation_loss"].to_numpy().argmin())
    last = history.iloc[-1]
    lowest = history["validation_loss"].iloc[best]
    since = len(history) - 1 - best
    if since and last["validation_loss"] > 1.05 * lowest and last["loss"] < history["loss"].iloc[best]:
        return (
            f"It overfits: after epoch {best + 1} the training loss kept falling while the validation loss rose "
            f"from {lowest:.3f} to {last['validation_loss']:.3f}. More dropout, l2, patience or data would help."
        )
    if since == 0:
        return "The validation loss was at its lowest in the last epoch: more epochs may still lower it."
    return f"The validation loss was lowest in epoch {best + 1} and has not risen by more than 5 % since."


def _headline(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Test metrics as text: shares in percent, counts whole, the rest with four digits."""
    texts = []
    for name, value in metrics.items():
        if isinstance(value, int):
            text = f"{value:,}"
        else:
            text = f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4f}"
        texts.append((f"test {name}", text))
    return texts


def _title(picture: Path) -> str:
    return {"mistakes": "Worst mistakes on the test part"}.get(
        picture.stem, picture.stem.replace("_", " ").capitalize()
    )


def _data_address(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def write_report(metrics: Path, plots: Path, target: Path) -> Path:
    """Write `target`/index.html from the folders of metrics and plots; return the page's path."""
    files = sorted(metrics.glob("*.json"))
    if not files:
        raise UserError(f"{metrics}: no metrics here; `dvc repro` makes them")
    chapters = [chapter(f.stem, json.loads(f.read_text(encoding="utf-8")), plots / f.stem) for f in files]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(TEMPLATE.name).render(chapters=chapters)
    with whole_folder(target) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
    return target / "index.html"


def main() -> None:
    argparse.ArgumentParser(prog="python -m components.report", description="Write the report.").parse_args()
    paths = params.load().paths
    page = write_report(Path(paths.metrics), Path(paths.plots), Path(paths.report))
    print(f"report: {page}", flush=True)


if __name__ == "__main__":
    params.run(main)
