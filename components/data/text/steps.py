"""The steps that make words of a text, each a key in params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from components.params.section import Section

# Stopwords that turn a sentence's meaning.
KEPT = (
    "no", "not", "nor", "never", "none", "nobody", "nothing", "neither", "nowhere", "cannot", "without", "very", "too",
    "well", "least", "most",
)  # fmt: skip


class Steps(Section):
    """In the order in which they are done. components/data/text/words.py does them."""

    html: bool = Field(True, description="true | false: tags go, and character references become what they stand for")
    urls: bool = Field(True, description="true | false: URLs of web pages go")
    unicode: Literal["nfkc", "nfc", "none"] = Field(
        "nfkc", description="nfkc | nfc | none: the normal form of characters"
    )
    lowercase: bool = Field(True, description="true | false")
    contractions: bool = Field(True, description="true | false: isn't becomes is not, and it's becomes it")
    tokens: Literal["words", "whitespace"] = Field(
        "words",
        description="words (letters and digits, with apostrophes inside) | whitespace (punctuation stays on its word)",
    )
    stopwords: Literal["english", "none"] = Field("english", description="english (scikit-learn's list of 318) | none")
    keep: tuple[str, ...] = Field(
        KEPT, description="a list of words that are no stopwords after all, such as negations"
    )
    remove: tuple[str, ...] = Field((), description="a list of more words to remove")
    lemmas: str = Field(
        "en", description="none | the code of a language that simplemma knows, such as en: films becomes film"
    )
    ngrams: int = Field(
        1, ge=1, le=5, description="an integer from 1 to 5: neighbours up to so many join, as in not_good"
    )

    @field_validator("lemmas")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if value in ("none", "en"):
            return value
        from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES  # takes a while to import

        if value not in SUPPORTED_LANGUAGES:
            raise ValueError(f"simplemma knows {', '.join(sorted(SUPPORTED_LANGUAGES))}")
        return value
