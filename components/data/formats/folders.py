"""Which folders of a tree are classes, and which are the subsets of a published split.

photos/rose/…, photos/tulip/…                      two classes, whatever folders lie in theirs
photos/train/rose/…, photos/test/rose/…, …         a published split: its subsets are kept
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import UserError

SUBSET_WORDS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "val": "validation",
    "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
SUBSETS = ("train", "validation", "test")
ALONE = re.compile(rf"({'|'.join(SUBSET_WORDS)})[ _-]?(set|data|split|images)?[ _-]?\d*")
IGNORED = ("__MACOSX",)  # what one system's archives have beside the data


@dataclass(frozen=True)
class ClassFolder:
    """subset: of a published split, "train", "validation" or "test"; "" where none is published."""

    name: str
    subset: str
    folder: Path


@dataclass(frozen=True)
class Layout:
    """classes: by subset and name.  without: the folders beside them with nothing to learn from in them.
    loose: the files that lie beside the classes' folders."""

    classes: tuple[ClassFolder, ...]
    without: tuple[Path, ...] = ()
    loose: tuple[Path, ...] = field(default=())


@dataclass(frozen=True)
class Kind:
    """The classes and subsets of a data set in folders.

    holds: whether a file is an example.  what: such files, in a message.  key: the key of params.yaml that names them.
    """

    holds: Callable[[Path], bool]
    what: str
    key: str


def layout_of(folder: Path, kind: Kind) -> Layout:
    """The classes below a folder. Raises UserError, which tells what is there, where they cannot be told for sure."""
    passed, below = _top(folder, kind)
    if not below:
        raise UserError(
            f"{folder}: no folders of {kind.what}, one per class, are in it; {kind.key} must name such data"
        )
    subsets = {each: subset_in(each.name) for each in below}
    several = len({*subsets.values()} - {None}) > 1
    if several and all(subsets.values()):
        return _published(passed, {each: str(subset) for each, subset in subsets.items()}, kind)
    named = [each.name for each in below if ALONE.fullmatch(each.name.lower()) or (several and subsets[each])]
    if named:
        others = [each.name for each in below if each.name not in named]
        beside = f", beside {_listed(others)}" if others else ""
        what = "are names of splits" if len(named) > 1 else "is the name of a split"
        raise UserError(
            f"{passed[-1]}: {', '.join(named)} {what}, and of no class{beside}; give each split its own folders of "
            f"classes, or point {kind.key} at a folder of classes alone; a class of that name needs another one"
        )
    _check_no_several_sets(folder, below, kind)
    classes = tuple(ClassFolder(each.name, "", each) for each in below)
    return Layout(classes, _without(passed, [*passed, *below]), _loose(passed, kind))


def subset_in(name: str) -> str | None:
    """The subset that a name speaks of: "train" of "train", "train2017" or "seg_train"; None of none or of several."""
    subsets = {SUBSET_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SUBSET_WORDS}
    return subsets.pop() if len(subsets) == 1 else None


def folders_in(folder: Path) -> list[Path]:
    """The visible folders in a folder, sorted."""
    folders = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(path for path in folders if path.name not in IGNORED)


def files_below(folder: Path) -> Iterable[Path]:
    """The visible files in a folder and in those below it, sorted within each."""
    yield from sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    for below in folders_in(folder):
        yield from files_below(below)


def _holds(folder: Path, kind: Kind) -> bool:
    return any(kind.holds(file) for file in files_below(folder))


def _with_examples(folder: Path, kind: Kind) -> list[Path]:
    return [below for below in folders_in(folder) if _holds(below, kind)]


def _top(folder: Path, kind: Kind) -> tuple[list[Path], list[Path]]:
    """The folders from this one down to that of the classes, or of the subsets, and its folders with examples.

    One goes down where a folder has but one with examples, and that has some in folders of its own.
    """
    passed, below = [folder], _with_examples(folder, kind)
    while len(below) == 1 and (deeper := _with_examples(below[0], kind)):
        passed.append(below[0])
        below = deeper
    return passed, below


def _published(passed: Sequence[Path], subsets: Mapping[Path, str], kind: Kind) -> Layout:
    """The classes of each subset. Raises UserError where one has no class folders, or two are of the same subset."""
    class_folders: list[ClassFolder] = []
    tops, names = [*passed], ", ".join(folder.name for folder in subsets)
    direct = {folder: {each.name for each in _with_examples(folder, kind)} for folder in subsets}
    for subset in SUBSETS:
        own = [folder for folder in subsets if subsets[folder] == subset]
        if len(own) > 1:
            raise UserError(f"{passed[-1]}: {', '.join(f.name for f in own)} are all of one split; leave one of them")
        for folder in own:
            others = {name for other in subsets if other != folder for name in direct[other]}
            # A subset may have but one class; a folder in between has no other subset's class's name.
            within, classes = (
                ([folder], _with_examples(folder, kind)) if direct[folder] & others else _top(folder, kind)
            )
            if not classes:
                raise UserError(
                    f"{folder}: {kind.what} without folders of classes; {names} are names of splits, and of no class. "
                    f"Put the {kind.what} of each class into a folder of its name, or point {kind.key} at a folder "
                    f"that has such"
                )
            class_folders += [ClassFolder(each.name, subset, each) for each in classes]
            tops += within
    if not any(each.subset == "train" for each in class_folders):
        raise UserError(f"{passed[-1]}: {names} have no training subset among them")
    held = [*tops, *subsets, *(each.folder for each in class_folders)]
    return Layout(tuple(class_folders), _without(tops, held), _loose(tops, kind))


def _check_no_several_sets(folder: Path, below: Sequence[Path], kind: Kind) -> None:
    """Raises UserError for folders of folders of the same two or more names: several sets, or classes by batch?"""
    deeper = [{each.name for each in _with_examples(top, kind)} for top in below]
    direct = any(kind.holds(file) for top in below for file in top.iterdir() if file.is_file())
    shared = {name for names in deeper for name in names if sum(name in other for other in deeper) > 1}
    if len(shared) > 1 and not direct:
        named = ", ".join(str(top.relative_to(folder)) for top in below)
        raise UserError(
            f"{folder}: several folders hold folders of {kind.what} of one name ({_listed(sorted(shared))}): {named}; "
            f"point {kind.key} at one of them, or put each class's {kind.what} into its folder itself"
        )


def _without(tops: Iterable[Path], held: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(each for top in tops for each in folders_in(top) if each not in held)


def _loose(tops: Iterable[Path], kind: Kind) -> tuple[Path, ...]:
    files = (file for top in dict.fromkeys(tops) for file in sorted(top.iterdir()) if file.is_file())
    return tuple(file for file in files if not file.name.startswith(".") and kind.holds(file))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
