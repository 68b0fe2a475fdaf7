"""The report stage: every model's metrics, curves and images as one HTML page that opens offline."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.baselines import tfidf
from components.errors import UserError
from components.files import whole_folder
from components.models.artifact_files import DESCRIPTION, HISTORY, LAYERS
from components.plots import charts
from components.plots.file_names import AVERAGE_PRECISION, CONFIG, EVALUATION, SWEEP
from components.plots.metric import Metric, named, read_names
from components.plots.tables import Table, read_tables

TEMPLATE = Path(__file__).with_name("page.html.j2")
TITLES = {  # of images, in the order in which they are shown
    "predictions": "Predictions on the test subset",
    "mistakes": "Worst mistakes on the test subset",
    "feature_maps": "What the first layers see",
    "convolution": "What one convolution does",
    "gradient_reach": "The loss's gradient at each step, before training",
    "words": "The most frequent words, by their vectors",
    "reconstructions": "Images, and what is left of them after the bottleneck",
    "denoised": "Noise taken away",
    "samples": "Samples",
    "interpolation": "From one image to another",
    "manifold": "All that it can make",
    "codes": "The codes",
    "reuse": "What the encoder is worth when labels are few",
    "anomaly": "Reconstruction errors, and how well they tell the two apart",
    "hardest": "The hardest to tell",
    "growth": "Losses by width",
    "best_so_far": "The search, trial by trial",
    "importance": "What mattered",
    "values": "What each trial reached, by each of its values",
    "parallel": "The trials that trained to their end, across all values",
}


@dataclass(frozen=True)
class Chapter:
    """One stage's part of the report. Figures are SVG text; images are (title, data address)."""

    name: str
    heading: str
    headline: list[tuple[str, str]]
    finding: str
    figures: list[tuple[str, str]]
    tables: list[Table]
    images: list[tuple[str, str]]
    config: dict[str, Any]


@dataclass(frozen=True)
class Way:
    """A detector of many objects, as a line of the table that compares them."""

    name: str
    windows: str
    milliseconds: str
    map_50: str
    map: str


def chapter(name: str, metrics: dict[str, Any], plots: Path, images: Path) -> Chapter:
    """The chapter of a stage's plots: a trained model's evaluation, or tables alone."""
    shown, names = name.replace("_", " "), read_names(plots)
    if not (plots / DESCRIPTION).exists():
        heading, tables = read_tables(plots)
        file = plots / CONFIG
        config = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return Chapter(name, heading or shown, _headline(metrics, names), "", [], tables, _images(images), config)
    history = pd.read_csv(plots / HISTORY)
    layers = pd.read_csv(plots / LAYERS)
    described = json.loads((plots / DESCRIPTION).read_text(encoding="utf-8"))
    kept = described["epoch"]
    measured = [c.removeprefix("validation_") for c in map(str, history) if c.startswith("validation_")]
    labels = {name: named(name, names).label for name in measured}
    figures = [(label[0].upper() + label[1:], charts.curves(history, m, label, kept)) for m, label in labels.items()]
    if (plots / "confusion.csv").exists():
        table = pd.read_csv(plots / "confusion.csv", dtype=str, keep_default_na=False)
        figures.append(("Confusion on the test subset", charts.confusion(table, described["data"]["classes"])))
    if (plots / AVERAGE_PRECISION).exists():
        figures.append(
            ("Average precision on the test subset", charts.precisions(pd.read_csv(plots / AVERAGE_PRECISION)))
        )
    figures.append(("Gradients, layer by layer", charts.gradients(layers)))
    parameters = [("parameters", f"{described['parameters']:,}")]
    if described["trained_parameters"] < described["parameters"]:
        parameters.append(("of them trained", f"{described['trained_parameters']:,}"))
    return Chapter(
        name=name,
        heading=f"{shown}, trained on {described['config']['data']}",
        headline=[*_headline(metrics, names), *parameters, ("epoch kept", str(kept))],
        finding=finding(history),
        figures=figures,
        tables=read_tables(plots)[1],
        images=_images(images),
        config={**described["config"], **json.loads((plots / EVALUATION).read_text(encoding="utf-8"))},
    )


def sweep_chapters(sweeps: Path) -> list[Chapter]:
    """The chapters of the sweeps, from the folders that tune/results.py wrote."""
    chapters = []
    for file in sorted(sweeps.glob(f"*/{SWEEP}")):
        folder = file.parent
        said = json.loads(file.read_text(encoding="utf-8"))
        heading, tables = read_tables(folder)
        headline = [(label, value) for label, value in said["headline"]]
        name = f"sweep_{folder.name}"
        chapters.append(Chapter(name, heading, headline, said["finding"], [], tables, _images(folder), {}))
    return chapters


def ways(metrics: Mapping[str, dict[str, float]], timings: Path) -> list[Way]:
    """The detectors of many objects, if there are several to compare."""
    rows = []
    for name, own in metrics.items():
        if "windows" in own:
            file = timings / f"{name}.json"
            # Times are no outputs of a stage: where DVC brought the metrics from its cache, there is none.
            timing = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
            milliseconds = f"{timing['milliseconds_per_example']:.0f}" if timing else "not measured here"
            rows.append(
                Way(name, f"{own['windows']:,}", milliseconds, f"{own['map_50']:.1%}", f"{own['map']:.1%}"),
            )
    return rows if len(rows) > 1 else []


def classifiers(metrics: Mapping[str, dict[str, Any]], chapters: Sequence[Chapter]) -> Table | None:
    """The baselines and the networks that classify the same texts, by test accuracy; None where either is missing."""
    by_name = {each.name: each.config for each in chapters}
    baselines = [
        (by_name[name]["data"], tfidf.NAMES[kind], f"TF-IDF, {frequency} counts", accuracy)
        for name, own in metrics.items()
        for kind in tfidf.NAMES.keys() & own.keys()
        for frequency, accuracy in own[kind].items()
    ]
    texts = {data for data, *_ in baselines}
    networks = [
        (config["data"], name, ", ".join(config[key] for key in ("cell", "encoding") if key in config), accuracy)
        for name, config in by_name.items()
        if config.get("data") in texts and (accuracy := metrics[name].get("accuracy")) is not None
    ]
    if not networks:
        return None
    ranked = sorted([*baselines, *networks], key=lambda row: (row[0], -row[3], row[1:3]))
    rows = [[data, name, kind, f"{accuracy:.2%}"] for data, name, kind, accuracy in ranked]
    note = (
        "The same training and test subset for all; the networks keep the epoch that is best on the validation subset."
    )
    return Table("The best first", ["texts", "classifier", "sees them as", "test accuracy"], rows, note)


def finding(history: pd.DataFrame) -> str:
    """Judge the loss curves in a sentence: still learning, overfitting, or settled."""
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


def _headline(metrics: dict[str, Any], names: Mapping[str, Metric]) -> list[tuple[str, str]]:
    """Metrics as text: counts whole, others as they are declared. Of several figures the largest."""
    texts = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            value = max(value.values())
        metric = named(name, names)
        label = f"test {metric.label}" if metric.of_test else metric.label
        texts.append((label, f"{value:,}" if isinstance(value, int) else metric.form.format(value)))
    return texts


def _images(plots: Path) -> list[tuple[str, str]]:
    return [(_title(file), _data_address(file)) for file in sorted(plots.glob("*.png"), key=_place)]


def _title(image: Path) -> str:
    return TITLES.get(image.stem, image.stem.replace("_", " ").capitalize())


def _place(image: Path) -> tuple[int, str]:
    known = list(TITLES)
    return known.index(image.stem) if image.stem in known else len(known), image.stem


def _data_address(image: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"


def write_report(
    metrics: Path,
    plots: Path,
    images: Path,
    timings: Path,
    target: Path,
    order: Sequence[str] = (),
    sweeps: Path | None = None,
) -> Path:
    """Write `target`/index.html from the folders of metrics, plots, images, timings and sweeps; return the page's path.

    order: the models' names, those that come first; any others follow, then the sweeps.
    """
    known = list(order)
    files = sorted(
        metrics.glob("*.json"), key=lambda f: (known.index(f.stem) if f.stem in known else len(known), f.stem)
    )
    if not files:
        raise UserError(f"{metrics}: no metrics here; `dvc repro` makes them")
    metrics_of = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in files}
    chapters = [chapter(name, own, plots / name, images / name) for name, own in metrics_of.items()]
    compared = classifiers(metrics_of, chapters)
    chapters += sweep_chapters(sweeps) if sweeps else []
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(TEMPLATE.name).render(
        chapters=chapters, ways=ways(metrics_of, timings), classifiers=compared
    )
    with whole_folder(target) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
    return target / "index.html"
