"""A sweep's images: what mattered, how values go together, each value's effect, and the search's progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from components.models.task import Goal
from components.params.search_space import Range, Space
from components.plots.canvas import WIDTH, new_figure, save
from components.plots.palette import BLUE, FAINT, INK, ORANGE
from components.tune.growth import Point
from components.tune.ledger import Trial

COLUMNS = 2  # of the images of single keys


def draw(
    folder: Path,
    trials: Sequence[Trial],
    space: Space,
    scores: Mapping[int, float],
    reached: Mapping[int, float],
    goal: Goal,
    fractions: Mapping[str, float],
) -> None:
    """best_so_far.png, importance.png, values.png and parallel.png.

    scores: number → what that trial reached, of those that trained to their end; reached: of those stopped early, too.
    fractions: key → importance.
    """
    name = f"validation {goal.metric.replace('_', ' ')}"
    values = {trial.number: trial.values for trial in trials if trial.number in scores}
    _draw_best_so_far(folder / "best_so_far.png", scores, goal, name)
    if fractions:
        _draw_importance(folder / "importance.png", fractions)
    _draw_values(folder / "values.png", space, scores, trials, reached, name)
    _draw_parallel(folder / "parallel.png", space, scores, values, goal, name)


def draw_growth(file: Path, points: Sequence[Point], knee: int, keys: str) -> None:
    """Training and validation loss against width, and the width chosen."""
    widths = [point.width for point in points]
    with _figure(file, 3.6) as figure:
        axis = figure.subplots()
        axis.plot(widths, [p.training for p in points], color=BLUE, marker="o", markersize=4, label="training")
        axis.plot(widths, [p.validation for p in points], color=ORANGE, marker="o", markersize=4, label="validation")
        last = [p.last for p in points]
        axis.plot(widths, last, color=ORANGE, linestyle=":", label="validation, last epoch")
        for point in points:
            axis.plot([point.width] * len(point.each), point.each, ".", color=ORANGE, markersize=3, alpha=0.6)
        axis.axvline(knee, color=INK, linewidth=0.8, linestyle="--", label=f"chosen: {knee}")
        axis.set(xlabel=f"width ({keys})", ylabel="loss", xscale="log")
        _whole_ticks(axis, widths)
        axis.legend()


def _whole_ticks(axis: Any, widths: Sequence[int]) -> None:
    """Each width that is written without touching its neighbour's number."""
    apart = 0.055 * np.log(max(2.0, widths[-1] / widths[0]))
    ticks: list[int] = []
    for width in widths:
        if not ticks or np.log(width / ticks[-1]) > apart:
            ticks.append(width)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)


@contextmanager
def _figure(file: Path, height: float) -> Iterator[Any]:
    import matplotlib

    from components.plots.charts import STYLE

    with matplotlib.rc_context({**STYLE, "font.size": 9, "axes.axisbelow": True}):
        figure = new_figure(height)
        figure.set_layout_engine("constrained")
        yield figure
        save(figure, file)


def _draw_best_so_far(file: Path, scores: Mapping[int, float], goal: Goal, name: str) -> None:
    numbers = sorted(scores)
    reached = [scores[number] for number in numbers]
    best = np.maximum.accumulate(reached) if goal.more else np.minimum.accumulate(reached)
    with _figure(file, 3.0) as figure:
        axis = figure.subplots()
        axis.plot(numbers, reached, "o", color=BLUE, markersize=4, label="a trial that trained to its end")
        axis.step(numbers, best, color=ORANGE, where="post", label="best so far")
        axis.set(xlabel="trial", ylabel=name)
        axis.legend()


def _draw_importance(file: Path, fractions: Mapping[str, float]) -> None:
    with _figure(file, 0.7 + 0.3 * len(fractions)) as figure:
        axis = figure.subplots()
        rising = sorted(fractions.items(), key=lambda fraction: fraction[1])
        bars = axis.barh([key.replace("_", " ") for key, _ in rising], [fraction for _, fraction in rising], color=BLUE)
        axis.bar_label(bars, fmt="{:.0%}", padding=3)
        axis.set(xlabel="fraction of the difference between trials", xlim=(0, 1.1))
        axis.grid(visible=False)


def _positions(searched: Range, values: Sequence[Any]) -> np.ndarray:
    """Where values lie on their axis: numbers themselves, of a choice the place in its list."""
    if searched.kind == "choice":
        known = [searched.encode(value) for value in searched.values]
        return np.array([known.index(searched.encode(value)) for value in values], dtype=float)
    return np.array(values, dtype=float)


def _names(searched: Range) -> list[str]:
    return [" ".join(map(str, v)) or "none" if isinstance(v, list) else str(v) for v in searched.values]


def _draw_values(
    file: Path,
    space: Space,
    scores: Mapping[int, float],
    trials: Sequence[Trial],
    reached: Mapping[int, float],
    name: str,
) -> None:
    """Filled: what a trial that trained to its end reached; hollow: what one that was stopped early had by then.

    Far below the trials that ended, hollow ones are drawn at the edge, so that the others can be told apart.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    rows = -(-len(space) // COLUMNS)
    low, high = min(scores.values()), max(scores.values())
    floor, roof = low - 0.5 * (high - low), high + 0.5 * (high - low)
    with _figure(file, 2.2 * rows) as figure:
        axes = list(figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flat)
        for axis, (key, searched) in zip(axes, space.items(), strict=False):
            for trial in trials:
                if trial.number in reached and searched.holds(trial.values[key]):
                    height = min(max(reached[trial.number], floor), roof)
                    filled = {"color": BLUE} if trial.number in scores else {"markerfacecolor": "none", "color": FAINT}
                    axis.plot(_positions(searched, [trial.values[key]]), [height], "o", markersize=4, **filled)
            axis.set_xlabel(key.replace("_", " "))
            if searched.kind == "choice":
                axis.set_xticks(range(len(searched.values)), _names(searched))
                axis.set_xlim(-0.5, len(searched.values) - 0.5)
            elif searched.logarithmic:
                axis.set_xscale("log")
                axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.xaxis.set_minor_formatter(NullFormatter())
        for axis in axes[len(space) :]:
            axis.set_visible(False)
        figure.supylabel(name, color=INK, fontsize=9)


def _draw_parallel(
    file: Path,
    space: Space,
    scores: Mapping[int, float],
    values: Mapping[int, Mapping[str, Any]],
    goal: Goal,
    name: str,
) -> None:
    """A line for each trial across an axis for each key and one for what it reached, the better the darker."""
    import matplotlib

    inside = [n for n in scores if all(searched.holds(values[n][key]) for key, searched in space.items())]
    if not inside:
        return
    ordered = sorted(inside, key=lambda number: goal.sign * scores[number])  # the best are drawn last, on top
    reached = np.array([scores[number] for number in ordered])
    columns = [_fraction(searched, [values[n][key] for n in ordered]) for key, searched in space.items()]
    span = float(np.ptp(reached)) or 1.0
    heights = np.array([*columns, (reached - reached.min()) / span])
    shades = matplotlib.colormaps["viridis_r"](np.linspace(0, 1, len(ordered)))
    with _figure(file, 3.6) as figure:
        axis = figure.subplots()
        for number, colour in enumerate(shades):
            axis.plot(range(len(heights)), heights[:, number], color=colour, linewidth=1, alpha=0.8)
        turned = {"rotation": 20, "ha": "right"} if len(heights) * 1.2 > WIDTH else {}
        labels = [*(key.replace("_", " ") for key in space), name.removeprefix("validation ")]
        axis.set_xticks(range(len(heights)), labels, **turned)
        axis.set(yticks=[], ylim=(-0.1, 1.1))
        for place, searched in enumerate(space.values()):
            _mark(axis, place, searched)
        for height, value in ((-0.08, reached.min()), (1.04, reached.max())):
            axis.text(len(heights) - 1, height, f"{value:.4g}", ha="center", fontsize=8, color=INK)


def _fraction(searched: Range, values: Sequence[Any]) -> Any:
    """Where values lie in their range, 0 to 1."""
    if searched.kind == "choice":
        return _positions(searched, values) / max(1, len(searched.values) - 1)
    low, high = searched.values
    if searched.logarithmic:
        return np.log(np.array(values, dtype=float) / low) / np.log(high / low)
    return (np.array(values, dtype=float) - low) / (high - low)


def _mark(axis: Any, place: int, searched: Range) -> None:
    """The ends of a range, or all of a choice, beside its axis."""
    choice = searched.kind == "choice"
    shown = _names(searched) if choice else [f"{v:g}" for v in searched.values]
    for number, text in enumerate(shown):
        fraction = number / max(1, len(shown) - 1)
        height = fraction if choice else (-0.08, 1.04)[number]
        outline = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
        axis.text(place, height, text, ha="center", fontsize=8, color=INK, bbox=outline)
