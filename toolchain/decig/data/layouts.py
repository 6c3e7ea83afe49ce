"""Where the two sides A and B of a data set lie: the folders of pix2pix, CycleGAN and GauGAN.

| folders | known from |
| --- | --- |
| `trainA trainB testA testB` | CycleGAN |
| `train_A train_B test_A test_B` | pix2pixHD |
| `A/train B/train A/test B/test` | pix2pix, before the sides are joined |
| `train_label train_img test_label test_img` | GauGAN, pix2pixHD; label maps are the input |
| `train/input train/target val/input val/target` | decig |
| `train test`, both sides in each image | pix2pix; A is the left half |

`val` may stand for `test` in each of them, and goes before it where both are there.
"""

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path

from decig.data.images import SUFFIXES
from decig.errors import BadInputError

APART = {
    "trainA and trainB": "{split}{side}",
    "train_A and train_B": "{split}_{side}",
    "A/train and B/train": "{side}/{split}",
    "train_label and train_img": "{split}_{kind}",
    "train/input and train/target": "{split}/{role}",
}
"""Layouts with a folder for each side: what messages call them, and how a folder is named."""
_NAMES = {
    "A": {"side": "A", "kind": "label", "role": "input"},
    "B": {"side": "B", "kind": "img", "role": "target"},
}
_NAMED = ("{split}_{kind}", "{split}/{role}")
"""Layouts whose names say which side is the input."""
_JOINED = "train with both halves in each image"
_HELD_OUT = ("val", "test")
_LISTED = 8
"""Names of what was found that a message lists."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Where one part of a data set lies, such as what is trained on.

    Attributes:
        a: folder of side A.
        b: folder of side B; the same as `a` where each image holds both sides.
    """

    a: Path
    b: Path

    @property
    def joined(self) -> bool:
        """Whether each image holds both sides, A in its left half."""
        return self.a == self.b


@dataclass(frozen=True)
class Layout:
    """A data set.

    Attributes:
        train: what is trained on.
        held_out: what is shown, but never trained on; None where the folder has no such part.
        named: whether the names of the folders say that A is the input.
    """

    train: Split
    held_out: Split | None
    named: bool = False

    def direction(self, asked: str) -> str:
        """Return the direction that is asked for, "AtoB" or "BtoA", or the one the names say."""
        if self.named and asked == "BtoA":
            names = f"{self.train.a} and {self.train.b.name}"
            _log.warning("%s: their names say which is the input; BtoA is not used", names)
            return "AtoB"
        return asked


def find_layout(folder: Path, *, joined: bool | None = None) -> Layout:
    """Find both sides of a data set in a folder.

    Args:
        folder: of the data set, in one of the layouts of this module.
        joined: whether each image holds both sides; None takes what is there.

    Raises:
        BadInputError: the folder has none of the layouts; says what was looked for and found.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder}: no such folder of training data")
    for pattern in APART.values() if not joined else ():
        if (train := _apart(folder, pattern, "train")) is not None:
            found = (_apart(folder, pattern, split) for split in _HELD_OUT)
            return Layout(train, next(filter(None, found), None), pattern in _NAMED)
    if joined is not False and (folder / "train").is_dir():
        splits = [folder / split for split in _HELD_OUT if (folder / split).is_dir()]
        held_out = Split(splits[0], splits[0]) if splits else None
        return Layout(Split(folder / "train", folder / "train"), held_out)
    wanted = [*(APART if not joined else ()), *([_JOINED] if joined is not False else ())]
    raise BadInputError(
        f"{folder}: no training data; looked for {', or '.join(wanted)}; "
        f"found {_listing(folder)}{_half(folder) if not joined else ''}"
    )


def find_sides(folder: Path) -> Split | None:
    """Find any part of a data set that has a folder for each side; None where there is none."""
    parts = itertools.product(APART.values(), ("train", *_HELD_OUT))
    found = (_apart(folder, pattern, split) for pattern, split in parts)
    return next(filter(None, found), None)


def _apart(folder: Path, pattern: str, split: str) -> Split | None:
    """Both folders of a part in one of the layouts; None where one of them is missing."""
    a, b = (folder / pattern.format(split=split, **_NAMES[side]) for side in ("A", "B"))
    return Split(a, b) if a.is_dir() and b.is_dir() else None


def _half(folder: Path) -> str:
    """Name the side that is missing where only one of them is there."""
    for pattern in APART.values():
        sides = [pattern.format(split="train", **_NAMES[side]) for side in ("A", "B")]
        there = [(folder / side).is_dir() for side in sides]
        if any(there):
            missing = sides[there.index(False)]
            return f"; {missing} is missing beside {sides[there.index(True)]}"
    return ""


def _listing(folder: Path) -> str:
    """What lies in a folder: the names of folders, and how many images and other files."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    folders = [f"{entry.name}/" for entry in entries if entry.is_dir()]
    images = sum(entry.suffix.lower() in SUFFIXES for entry in entries if entry.is_file())
    files = sum(entry.is_file() for entry in entries) - images
    more = len(folders) - _LISTED
    found = folders[:_LISTED] + ([f"{more} more folders"] if more > 0 else [])
    found += [f"{images} images"] * bool(images) + [f"{files} other files"] * bool(files)
    return ", ".join(found) or "nothing"
