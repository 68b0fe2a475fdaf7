"""The report's charts, as SVG text: the same data, the same bytes, and no script to run."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from components.plots.palette import INK, PALE, TRAINING, VALIDATION

SIZE = (5.4, 4.2)  # inches, for all, so that cards side by side are of one height
NAMED_LAYERS, NAME_LENGTH = 6, 28
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp and searchable
    "svg.hashsalt": "trainyard",  # else the identifiers are random
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 10,
    "text.parse_math": False,  # a class may be called $
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": PALE,
    "legend.frameon": False,
}


def curves(history: pd.DataFrame, metric: str, label: str, kept: int) -> str:
    """A metric over the epochs, in training and in validation, with the epoch whose weights were kept."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axis = figure.subplots()
        axis.plot(history["epoch"], history[metric], color=TRAINING, marker=".", label="training")
        column = f"validation_{metric}"
        axis.plot(history["epoch"], history[column], color=VALIDATION, marker=".", label="validation")
        axis.axvline(kept, color=INK, linewidth=0.8, linestyle=":", label=f"kept: epoch {kept}")
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend()
        return _svg(figure)


def confusion(table: pd.DataFrame, classes: list[str]) -> str:
    """Counts of actual class (rows) by predicted class (columns); the colour is the fraction of the row."""
    crossed = pd.crosstab(table["actual"], table["predicted"])
    counts = crossed.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    fractions = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=SIZE, layout="constrained")
        axis = figure.subplots()
        axis.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(classes)):
            for column in range(len(classes)):
                if count := counts[row, column]:
                    colour = "white" if fractions[row, column] > 0.5 else INK
                    axis.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
        turned = max(map(len, classes)) > 3
        axis.set_xticks(range(len(classes)), classes, rotation=60 if turned else 0, ha="right" if turned else "center")
        axis.set_yticks(range(len(classes)), classes)
        axis.set(xlabel="predicted", ylabel="actual")
        return _svg(figure)


def precisions(table: pd.DataFrame) -> str:
    """A bar for each class (columns class, average_precision, objects), the easiest on top."""
    ordered = table.sort_values("average_precision", kind="stable")
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=SIZE, layout="constrained")
        axis = figure.subplots()
        names = [f"{name} ({count})" for name, count in zip(ordered["class"], ordered["objects"], strict=True)]
        bars = axis.barh(names, ordered["average_precision"], color=TRAINING)
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=9, color=INK)
        axis.set(xlabel="average precision at IoU 0.5 (objects in the test subset)", xlim=(0, 1.12))
        return _svg(figure)


def gradients(layers: pd.DataFrame) -> str:
    """Each weight's gradient norm over the epochs on a logarithmic scale, from the first layer to the last.

    Of many layers all are drawn and some, from the first to the last, are named.
    """
    names = list(dict.fromkeys(layers["layer"]))
    named = {round(place * (len(names) - 1) / (NAMED_LAYERS - 1)) for place in range(NAMED_LAYERS)}
    colours = matplotlib.colormaps["viridis"].resampled(max(2, len(names)))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axis = figure.subplots()
        for number, name in enumerate(names):
            own = layers[layers["layer"] == name]
            positive = own["gradient"].replace(0.0, math.nan)
            label = f"{number + 1}  {_short(name.removesuffix('.weight'))}" if number in named else None
            axis.plot(own["epoch"], positive, color=colours(number), marker=".", label=label)
        axis.set(xlabel="epoch", ylabel="gradient norm", yscale="log")
        axis.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))
        axis.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        title = "layer, first to last" if len(names) <= NAMED_LAYERS else f"some of {len(names)} layers, first to last"
        figure.legend(loc="outside lower center", fontsize=8, ncols=2, title=title, title_fontsize=8)
        return _svg(figure)


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"…{name[-NAME_LENGTH:]}"


def _svg(figure: Figure) -> str:
    """The figure as an <svg> element that scales with the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
