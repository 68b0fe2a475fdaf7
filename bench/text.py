"""How fast texts become words: the text stage's function beside the loop over tokens that a tutorial would write.

python -m bench.text [--rounds 3]

Both do the same steps on the sample's 25,000 reviews, with the same lemmatiser (which remembers its answers) and the
same output. The loop looks stopwords up in a list, as NLTK hands them out, and once more in a set.
"""

from __future__ import annotations

import argparse
import html
import re
import statistics
import tempfile
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.stages import REPO
from components.data.download import download
from components.data.findings import Findings
from components.data.kinds import texts
from components.data.text import words
from components.data.text.steps import Steps
from components.params import params

FEW = 2000
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
ADDRESS = re.compile(words.ADDRESS.replace(r"\PL", r"[\W\d_]"))
TAG, APOSTROPHE = re.compile(words.TAG), re.compile(words.APOSTROPHES)
CONTRACTIONS = [(re.compile(p.replace(r"\pL", r"[^\W\d_]")), meant) for p, meant in words.CONTRACTIONS]


def per_token(texts: Sequence[str], stopwords: Collection[str]) -> list[str]:
    """The tutorial's loop, with the steps of the committed params.yaml."""
    import simplemma

    found = []
    for text in texts:
        text = TAG.sub(" ", html.unescape(TAG.sub(" ", text)))
        text = unicodedata.normalize("NFKC", ADDRESS.sub(" ", text)).lower()
        text = APOSTROPHE.sub("'", text)
        for pattern, meant in CONTRACTIONS:
            text = pattern.sub(meant, text)
        tokens = [token for token in WORD.findall(text) if token not in stopwords]
        found.append(" ".join(simplemma.lemmatize(token, lang="en").lower() for token in tokens))
    return found


def sample(settings: params.Params) -> pd.DataFrame:
    """All 25,000 of the sample's reviews from IMDB."""
    section = settings.entry("data", "reviews")
    assert isinstance(section, texts.Config)
    changed = section.model_copy(update={"source": str(REPO / section.source), "fraction": 1.0})
    with tempfile.TemporaryDirectory() as folder:
        sections = {**settings.sections, "reviews": changed}
        download("reviews", replace(settings, sections=sections), Path(folder) / "raw")
        return pd.concat(texts.frames(changed, Path(folder) / "raw", Findings()), ignore_index=True)


def seconds(work: Callable[[], Iterable[str]]) -> tuple[float, list[str]]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, list(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.text", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    settings = params.load()
    steps: Steps = settings.sections["reviews"].steps  # type: ignore[attr-defined]
    frame = sample(settings)
    texts = frame["text"].tolist()
    as_set = words.stopwords(steps)
    ways: dict[str, Callable[[], Iterable[str]]] = {
        "by column": lambda: words.Words(steps)(frame)["words"],
        "per token, stopwords in a list": lambda: per_token(texts, sorted(as_set)),
        "per token, stopwords in a set": lambda: per_token(texts, as_set),
    }
    per_token(texts[:FEW], as_set)  # so that the lemmatiser's dictionary is loaded before any clock runs
    words.Words(steps)(frame.head(FEW))
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        outputs = []
        for name, work in ways.items():
            spent, found = seconds(work)
            took[name].append(spent)
            outputs.append(found)
        assert outputs[0] == outputs[1] == outputs[2], "the three ways differ"
    base = statistics.median(took["by column"])
    for name, spents in took.items():
        median = statistics.median(spents)
        ratio = "" if name == "by column" else f"; by column is {median / base:.1f} times as fast"
        print(f"{name}: {median:.2f} s, {len(texts) / median:,.0f} reviews a second{ratio}", flush=True)
    print(f"the same words for all {len(texts):,} reviews; medians of {rounds} rounds", flush=True)


if __name__ == "__main__":
    main()
