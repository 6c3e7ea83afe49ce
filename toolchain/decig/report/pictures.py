"""The held-out pictures of a run as they are put into its report: inline, within a budget."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from decig.records import Picture, Pictures

BUDGET_BYTES = 3_000_000
"""Bytes that all pictures of a report may take, before they are written as text."""
AMPLIFIED = 4
"""How many times as large as they are differences are shown."""
_TITLES = {
    "input": "input",
    "original": "original",
    "compressed": "compressed",
    "difference": f"difference x{AMPLIFIED}",
}
_SIDES = (512, 384, 256, 192, 128)
"""Sides in pixels at which the pictures are tried, the largest first."""
_QUALITIES = (90, 75)
"""Qualities of WebP at which they are tried at each side."""


@dataclass(frozen=True)
class View:
    """One way to look at a held-out image.

    Attributes:
        kind: "input", "original", "compressed" or "difference".
        title: the same for people.
        source: the picture, as a data URL.
    """

    kind: str
    title: str
    source: str


@dataclass(frozen=True)
class Exhibit:
    """A held-out image as the report shows it.

    Attributes:
        name: of its file.
        ssim: SSIM of the result's picture to the original's.
        psnr_db: PSNR, in dB.
        rank: place among all held-out images; 1 is the one least like the original's.
        worst: whether it is among the worst that are marked.
        height: of the views, in pixels.
        width: likewise.
        views: of the image.
    """

    name: str
    ssim: float
    psnr_db: float
    rank: int
    worst: bool
    height: int
    width: int
    views: list[View]


def exhibits(
    folder: Path, pictures: Pictures, *, worst: int, budget: int = BUDGET_BYTES
) -> tuple[list[Exhibit], list[str]]:
    """Read the pictures that a run has kept, and make them small enough.

    Args:
        folder: of the run.
        pictures: its record of them.
        worst: how many of the worst are marked.
        budget: bytes that they may take together.

    Returns:
        The images, the worst first, and the files that are missing or unreadable.
    """
    found, lost = [], []
    for rank, picture in enumerate(pictures.pictures, 1):
        if picture.files:
            views, broken = _read(folder, picture)
            lost += broken
            if views:
                found.append((rank, picture, views))
    encoded = _within(budget, [views for _, _, views in found])
    shown = [
        Exhibit(
            picture.name,
            picture.ssim,
            picture.psnr_db,
            rank,
            rank <= worst,
            *_size(views),
            [View(kind, _TITLES[kind], source) for kind, source in sources.items()],
        )
        for (rank, picture, views), sources in zip(found, encoded, strict=True)
    ]
    return shown, lost


def _read(folder: Path, picture: Picture) -> tuple[dict[str, Image.Image], list[str]]:
    """Read the files of an image and add the difference; returns also what cannot be read."""
    views: dict[str, Image.Image] = {}
    lost: list[str] = []
    for kind in ("input", "original", "compressed"):
        if kind not in picture.files:
            continue
        file = folder / picture.files[kind]
        if not file.resolve().is_relative_to(folder.resolve()):  # a stranger's run may name any
            lost.append(str(file))
            continue
        try:
            with Image.open(file) as opened:
                views[kind] = opened.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            lost.append(str(file))
    pair = [views.get(kind) for kind in ("original", "compressed")]
    if pair[0] is not None and pair[1] is not None and pair[0].size == pair[1].size:
        a, b = (np.asarray(image, np.int16) for image in pair)
        amplified = np.clip(np.abs(a - b) * AMPLIFIED, 0, 255).astype(np.uint8)
        views["difference"] = Image.fromarray(amplified)
    return views, lost


def _size(views: dict[str, Image.Image]) -> tuple[int, int]:
    """Height and width of the pictures that a model makes; of its input where there are none."""
    image = views.get("original") or next(iter(views.values()))
    return image.height, image.width


def _within(budget: int, images: list[dict[str, Image.Image]]) -> list[dict[str, str]]:
    """Encode all pictures at the best quality that fits; as data URLs."""
    encoded: list[dict[str, bytes]] = []
    for side in _SIDES:
        for quality in _QUALITIES:
            encoded = [
                {kind: _encode(image, side, quality) for kind, image in views.items()}
                for views in images
            ]
            if sum(len(data) for views in encoded for data in views.values()) <= budget:
                return [{kind: _url(data) for kind, data in views.items()} for views in encoded]
    return [{kind: _url(data) for kind, data in views.items()} for views in encoded]


def _encode(image: Image.Image, side: int, quality: int) -> bytes:
    smaller = image.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    smaller.save(written, format="WEBP", quality=quality, method=4)
    return written.getvalue()


def _url(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
