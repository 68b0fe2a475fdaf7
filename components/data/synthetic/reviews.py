"""Synthetic film reviews, for when there is no network: simple, seeded, and hard enough that counting "not" fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

REVIEWS = 600
FILE = "reviews.csv"
GOOD = [
    "wonderful",
    "moving",
    "brilliant",
    "charming",
    "gripping",
    "delightful",
    "superb",
    "touching",
    "clever",
    "unforgettable",
]
BAD = ["dull", "clumsy", "boring", "awful", "predictable", "tedious", "lifeless", "silly", "shallow", "forgettable"]
THINGS = [
    "plot",
    "acting",
    "story",
    "script",
    "music",
    "cast",
    "ending",
    "dialogue",
    "camera",
    "pace",
    "hero",
    "villain",
    "humour",
    "romance",
    "scenery",
]
FILLERS = (
    "I saw it with my sister on a rainy evening.",
    "It runs for about two hours &amp; has no interval.",
    "The director has made several films before.<br /><br />",
    "Most of it takes place in a small town by the sea.",
    "You can read more at https://example.org/films about how it was made.",
    "It's based on a novel that came out in 1987.",
    "The tickets weren't cheap, and the room was full.",
    "There are trains, horses and a dog named Rufus.",
)


def make(folder: Path) -> None:
    """Write reviews as one CSV table."""
    reviews(REVIEWS, seed=0).to_csv(folder / FILE, index=False)


def reviews(count: int, seed: int) -> pd.DataFrame:
    """`count` reviews, half of each class, in random order: columns text and label."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 2)
    texts = [_review(bool(label), random) for label in labels]
    return pd.DataFrame({"text": texts, "label": np.array(["negative", "positive"])[labels]})


def _review(positive: bool, random: np.random.Generator) -> str:
    """Some verdicts, most of the review's own kind and some negated, among sentences that say nothing of it."""
    verdicts = int(random.integers(3, 7))
    against = int(random.integers(0, (verdicts - 1) // 2 + 1))
    sentences = [_verdict(positive != (place < against), random) for place in range(verdicts)]
    sentences += list(random.choice(FILLERS, size=int(random.integers(1, 6)), replace=False))
    return " ".join(random.permutation(sentences))


def _verdict(positive: bool, random: np.random.Generator) -> str:
    thing = random.choice(THINGS)
    if random.random() < 0.25:
        return f"The {thing} was not {random.choice(BAD if positive else GOOD)}."
    return f"The {thing} was {random.choice(GOOD if positive else BAD)}."
