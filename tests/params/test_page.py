"""The page of all keys is what the declarations say."""

from __future__ import annotations

from components.params.declarations import GROUPS, declared_in
from components.params.page import page
from tests.conftest import REPO


def test_the_page_in_docs_is_the_one_that_the_command_prints() -> None:
    said = "it is no longer what `python -m components.params --page > docs/parameters.md` writes"
    assert (REPO / "docs/parameters.md").read_text(encoding="utf-8") == page(), said


def test_each_kind_of_each_group_has_its_part() -> None:
    for group in GROUPS.values():
        kinds = declared_in(group.package)
        assert len(kinds) == 1 or all(f"### {group.key}: {kind}\n" in page() for kind in kinds)
