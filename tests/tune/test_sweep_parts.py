"""What a sweep is made of, without Ray: ranges, the ledger, proposals, growth, and values written into params.yaml."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.cluster.placement import Slots, slots
from components.errors import ParamsError, UserError
from components.models.task import Goal
from components.params import params
from components.params.change import apply, as_yaml
from components.params.search_space import Grow, Range, Search
from components.tune import growth
from components.tune.growth import Point, Widths
from components.tune.ledger import Ledger, Trial, write_epochs
from components.tune.proposals import Proposals, Sampled, importances
from components.tune.sweep import unregularised
from tests.conftest import REPO, Config

HIGH = Goal("accuracy", more=True)
SPACE = {
    "rate": Range.model_validate({"log_uniform": [0.001, 1.0]}),
    "width": Range.model_validate({"integers": [1, 64]}),
    "layers": Range.model_validate({"choice": [[8], [8, 8]]}),
}
FIRST = {"rate": 0.5, "width": 2, "layers": [8]}
SEARCH = Search(method="tpe", trials=60, grace=2, reduction=3, seed=1)
GROW = Grow(start=2, limit=64, seeds=1, tolerance=0.01, patience=2, refine=1, regularised=False, widths={})


def ended(number: int, values: dict[str, Any], accuracy: float, outcome: Any = "finished") -> Trial:
    epoch = {"epoch": 1, "loss": 1.0, "validation_loss": 1 - accuracy, "validation_accuracy": accuracy, "seconds": 0.1}
    return Trial(number, values, [epoch] if outcome != "failed" else [], outcome, "")


def goodness(values: dict[str, Any]) -> float:
    """Best at a rate of 0.03 and two layers."""
    off = abs(math.log10(values["rate"]) - math.log10(0.03)) / 3
    return 0.9 - 0.5 * off - (0.1 if len(values["layers"]) == 1 else 0.0)


def sampled(method: Any = "tpe", begun: int = 0, trials: int = 60) -> Sampled:
    search = SEARCH.model_copy(update={"method": method})
    return Sampled(SPACE, FIRST, search, trials, HIGH, "last", begun)


def searched(proposals: Proposals, first: int, count: int) -> list[Trial]:
    trials = []
    for number in range(first, first + count):
        values = proposals.propose(number)
        assert values is not None
        trials.append(ended(number, values, goodness(values)))
        proposals.ended(trials[-1])
    return trials


def test_the_first_trial_has_the_models_own_values() -> None:
    assert sampled().propose(0) == FIRST


@pytest.mark.parametrize("method", ["tpe", "random"])
def test_what_is_proposed_lies_in_the_space_and_is_as_a_person_would_write_it(method: str) -> None:
    for trial in searched(sampled(method), 0, 30)[1:]:
        assert all(SPACE[key].holds(value) for key, value in trial.values.items())
        assert len(f"{trial.values['rate']:g}".replace("0.", "").lstrip("0")) <= 4


def test_tpe_finds_more_than_chance() -> None:
    best = {
        method: max(goodness(trial.values) for trial in searched(sampled(method), 0, 60)[30:])
        for method in ("tpe", "random")
    }
    later = searched(sampled("tpe"), 0, 60)[40:]
    chance = searched(sampled("random"), 0, 60)[40:]
    assert sum(goodness(t.values) for t in later) > sum(goodness(t.values) for t in chance)
    assert best["tpe"] > 0.85


def test_a_sweep_that_goes_on_knows_what_was_tried_and_does_not_repeat_it() -> None:
    before = searched(sampled(), 0, 30)
    again = sampled(begun=30)
    for trial in before:
        again.ended(trial)
    after = searched(again, 30, 20)
    assert not {json.dumps(t.values) for t in before} & {json.dumps(t.values) for t in after}
    fresh = searched(sampled(begun=30), 30, 20)
    assert sum(goodness(t.values) for t in after) > sum(goodness(t.values) for t in fresh)


def test_tpe_keeps_away_from_values_that_fail() -> None:
    proposals = sampled()
    failed = []
    for number in range(60):
        values = proposals.propose(number)
        assert values is not None
        bad = len(values["layers"]) == 2
        failed.append(bad)
        proposals.ended(ended(number, values, 0.5, "failed" if bad else "finished"))
    assert sum(failed[40:]) < sum(failed[5:25])


def test_own_values_outside_the_space_are_tried_and_taught_to_nobody() -> None:
    proposals = Sampled(SPACE, {**FIRST, "rate": 5.0}, SEARCH, 3, HIGH, "last", 0)
    values = proposals.propose(0)
    assert values == {**FIRST, "rate": 5.0}
    proposals.ended(ended(0, values, 0.9))
    assert len(proposals.study.trials) == 0
    assert not proposals.all_proposed


def test_what_matters_has_the_larger_fraction() -> None:
    trials = searched(sampled("random"), 0, 60)
    fractions = importances(SPACE, {t.number: goodness(t.values) for t in trials}, {t.number: t.values for t in trials})
    assert next(iter(fractions)) == "rate"
    assert fractions["width"] < 0.1
    assert sum(fractions.values()) == pytest.approx(1)


def test_too_few_trials_say_nothing_of_what_matters() -> None:
    trials = searched(sampled("random"), 0, 5)
    scores = {t.number: goodness(t.values) for t in trials}
    assert importances(SPACE, scores, {t.number: t.values for t in trials}) == {}


def test_a_trial_that_is_begun_and_not_ended_is_read_back(tmp_path: Path, config: Config) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin(0, {"dropout": 0.3})
    write_epochs(ledger.folder(0), [{"epoch": 1, "validation_loss": 1.0, "seconds": 2.0}])
    assert Ledger(tmp_path).trials() == [ledger.read(0)]
    assert ledger.read(0).outcome is None
    assert ledger.read(0).seconds == 2.0


@pytest.mark.parametrize(
    ("epochs", "fault", "lost", "outcome"),
    [(3, "", "", "finished"), (2, "", "", "stopped"), (0, "", "", "failed"), (3, "bad width", "", "failed")],
)
def test_how_a_trial_ended_is_told_by_what_it_left(
    tmp_path: Path, config: Config, epochs: int, fault: str, lost: str, outcome: str
) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin(4, {})
    losses = [{"epoch": n + 1, "validation_loss": 1.0 - n / 10, "seconds": 1.0} for n in range(epochs)]
    write_epochs(ledger.folder(4), losses)
    if fault:
        (ledger.folder(4) / "fault.txt").write_text(fault)
    (ledger.folder(4) / "state.pt").write_text("")
    trial = ledger.end(4, config(epochs=3, patience=0), lost)
    assert (trial.outcome, trial.reason) == (outcome, fault)
    assert (ledger.folder(4) / "state.pt").exists() == (outcome == "finished")


# Growth: losses are made, so that where it must end is known.


def grown(loss: Callable[[int], tuple[float, float]], grow: Grow = GROW) -> tuple[list[int], list[Point]]:
    """The widths in the order in which they were tried, and the curve; loss: width → (training, validation)."""
    widths = Widths(grow, {"seed": 7, "dense": [128, 128]}, ("dense",), "best")
    order, trials = [], []
    number = 0
    while (values := widths.propose(number)) is not None:
        width = values["dense"][0]
        assert values["dense"] == [width, width]
        training, validation = loss(width)
        epoch = {"epoch": 1, "loss": training, "validation_loss": validation, "seconds": 0.1}
        trials.append(Trial(number, values, [epoch], "finished", ""))
        widths.ended(trials[-1])
        order.append(width)
        number += 1
    assert widths.all_proposed
    return order, growth.curve(trials, ("dense",), "best", grow.seeds)


def overfits_from_8(width: int) -> tuple[float, float]:
    return 1 / width, 1 / width if width <= 8 else 1 / 8 + 0.01 * math.log2(width / 8)


def test_widths_double_until_two_in_a_row_are_no_better_then_the_steps_are_halved() -> None:
    order, points = grown(overfits_from_8)
    assert order == [2, 4, 8, 16, 32, 6, 12]
    assert growth.chosen(points, 0.01).width == 8
    assert "8 is enough" in growth.finding(points, GROW)
    assert "overfit" in growth.finding(points, GROW)


def test_halving_twice_goes_on_around_the_best() -> None:
    order, _ = grown(overfits_from_8, GROW.model_copy(update={"refine": 2}))
    assert order == [2, 4, 8, 16, 32, 6, 12, 7, 10]


def test_what_would_hide_that_it_overfits_is_off_while_it_grows(config: Config) -> None:
    off = unregularised(config(dropout=0.4, l1=0.1, l2=0.2, weight_decay=0.1, label_smoothing=0.1))
    assert off == config(dropout=0.0, l1=0.0, l2=0.0)


def test_what_still_improves_grows_to_the_limit_and_says_so() -> None:
    order, points = grown(lambda width: (1 / width, 2 / width), GROW.model_copy(update={"refine": 0}))
    assert order == [2, 4, 8, 16, 32, 64]
    assert "raise grow.limit" in growth.finding(points, GROW)


def test_the_knee_is_the_narrowest_that_no_other_beats_by_the_tolerance() -> None:
    _, points = grown(lambda width: (1.0, 1 + 1 / width**3), GROW.model_copy(update={"tolerance": 0.05}))
    assert growth.chosen(points, 0.05).width == 4
    assert "no better in training" in growth.finding(points, GROW)


def test_each_width_is_trained_with_several_seeds_and_the_median_counts() -> None:
    made = random.Random(3)
    grow = GROW.model_copy(update={"seeds": 3, "refine": 0, "patience": 1})
    order, points = grown(lambda width: (1 / width, overfits_from_8(width)[1] + made.uniform(0, 0.001)), grow)
    assert order == [w for w in (2, 4, 8, 16) for _ in range(3)]
    assert all(sorted(point.each)[1] == point.validation for point in points)


def test_a_width_that_fails_ends_the_doubling_and_not_the_search() -> None:
    widths = Widths(GROW, {"seed": 1, "bottleneck": 30}, ("bottleneck",), "best")
    for number, outcome in enumerate(["finished", "finished", "failed"]):
        values = widths.propose(number)
        assert values is not None
        loss = 1 / values["bottleneck"]
        epoch = {"epoch": 1, "loss": loss, "validation_loss": loss, "seconds": 0.1}
        widths.ended(Trial(number, values, [epoch], outcome, ""))  # type: ignore[arg-type]
    assert widths.propose(3) == {"bottleneck": 3, "seed": 1}


def test_no_doubling_is_taken_for_the_best_while_another_runs() -> None:
    grow = GROW.model_copy(update={"patience": 1})
    widths = Widths(grow, {"seed": 1, "bottleneck": 30}, ("bottleneck",), "best")
    begun = [widths.propose(number) for number in range(2)]
    for number, loss in ((0, 1.0), (1, 2.0)):
        values = begun[number]
        assert values is not None
        if number == 1:
            running = widths.propose(2)
            assert running is not None
            assert running["bottleneck"] == 8
        epoch = {"epoch": 1, "loss": loss, "validation_loss": loss, "seconds": 0.1}
        widths.ended(Trial(number, values, [epoch], "finished", ""))
    assert widths.propose(3) is None
    assert not widths.all_proposed


# Where trials go


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "workers", "expected"),
    [
        ([{"CPU": 2}], None, None, 0, Slots(2, 1, 0.0)),
        ([{"CPU": 2}], 2, None, 0, Slots(1, 2, 0.0)),
        ([{"CPU": 8}, {"CPU": 3}], 2, None, 0, Slots(5, 2, 0.0)),
        ([{"CPU": 16, "GPU": 4}], None, None, 0, Slots(4, 4, 1.0)),
        ([{"CPU": 16, "GPU": 2}], None, 0.25, 0, Slots(8, 2, 0.25)),
        ([{"CPU": 4, "GPU": 2}, {"CPU": 4}], None, 0, 0, Slots(8, 1, 0)),
        ([{"CPU": 8}], None, None, 2, Slots(4, 1, 0.0, 2)),
    ],
)
def test_as_many_trials_run_at_once_as_fit(
    nodes: Any, cpus: int | None, gpus: float | None, workers: int, expected: Slots
) -> None:
    assert slots(nodes, cpus, gpus, workers) == expected


def test_a_cluster_too_small_for_a_trial_is_one_message() -> None:
    with pytest.raises(UserError, match=r"lower --cpus, --gpus or --workers"):
        slots([{"CPU": 2}], 4, None, 0)


# params.yaml


def after_applying(folder: Path, before: str, where: str, values: dict[str, Any]) -> str:
    """What stands for an entry in a params.yaml that had `before` for it."""
    file = folder / "params.yaml"
    text = (REPO / "params.yaml").read_text()
    begin, end = text[: text.index("  cnn:\n")], text[text.index("\n  transfer: {family") :]
    file.write_text(f"{begin}{before}{end}")
    apply(file, where, values)
    now = file.read_text()
    assert now.startswith(begin)
    assert now.endswith(end)
    return now[len(begin) : len(now) - len(end)]


def test_applied_values_change_their_own_text_and_nothing_else(tmp_path: Path) -> None:
    before = "  cnn: {family: cnn, data: mnist, start: none, dropout: 0.25}  # the notes'"
    after = after_applying(tmp_path, before, "models.cnn", {"dropout": 0.3136, "epochs": 3})
    assert after == "  cnn: {family: cnn, data: mnist, start: none, dropout: 0.3136, epochs: 3}  # the notes'"


def test_an_entry_that_grows_too_wide_for_a_line_gets_a_line_for_each_key(tmp_path: Path) -> None:
    before = "  cnn: {family: cnn, data: mnist, start: none, dropout: 0.25, filters: [4, 1]}"
    after = after_applying(tmp_path, before, "models.cnn", {"learning_rate": 0.0000123})
    assert after.splitlines() == [
        *("  cnn:", "    family: cnn", "    data: mnist", "    start: none", "    dropout: 0.25"),
        *("    filters:", "    - 4", "    - 1", "    learning_rate: 0.0000123"),
    ]
    assert params.load(tmp_path / "params.yaml").sections["cnn"].learning_rate == 0.0000123  # type: ignore[attr-defined]


def test_a_key_that_is_not_there_comes_last_in_an_entry_of_several_lines(tmp_path: Path) -> None:
    before = "  cnn:  # small\n    family: cnn\n    data: mnist\n    start: none  # as the notes have it"
    after = after_applying(tmp_path, before, "models.cnn", {"filters": [4, 4], "data": "fashion"})
    assert after == before.replace("mnist", "fashion") + "\n    filters:\n    - 4\n    - 4"


def test_values_that_are_not_allowed_leave_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text((REPO / "params.yaml").read_text())
    with pytest.raises(ParamsError, match=r"cnn\.dropout"):
        apply(file, "models.cnn", {"dropout": 1.5})
    assert file.read_text() == (REPO / "params.yaml").read_text()
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("value", [1e-07, 0.1, 3.0, 12, [], [128, 64], "sgd", True, False, None, [0.25, 1e-05]])
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    assert YAML(typ="safe", pure=True).load(f"x: {as_yaml(value)}")["x"] == value
