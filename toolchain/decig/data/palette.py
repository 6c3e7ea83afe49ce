"""Label maps that were stored as JPEG, brought back to their few exact colours."""

import numpy as np

_CLEAR = 28  # Euclidean distance in RGB; JPEG noise inside flat areas stays below it
_SEVERAL = 6  # of the 25 pixels around; the corner of a label shows 9


def snap(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Give every pixel the nearest colour of `palette` among those around it.

    A blurred border between two labels passes through the colours of others, so a plain nearest
    colour would draw thin lines of wrong labels there. A pixel may therefore only take a label
    that several pixels around it show clearly; where there is none, the nearest colour.

    Args:
        image: H,W,3 uint8.
        palette: K,3 uint8, the exact colours.

    Returns:
        H,W,3 uint8 holding colours of `palette` only.
    """
    colours = palette.astype(np.float32)
    distance = np.square(image[:, :, None].astype(np.float32) - colours).sum(axis=-1)
    nearest = distance.argmin(axis=-1)
    clear = distance.min(axis=-1) < _CLEAR**2
    seen = [_window_sum(clear & (nearest == label)) for label in range(len(colours))]
    allowed = np.stack(seen, axis=-1) >= _SEVERAL
    allowed |= ~allowed.any(axis=-1, keepdims=True)
    labels = np.where(allowed, distance, np.inf).argmin(axis=-1)
    snapped: np.ndarray = palette.astype(np.uint8)[labels]
    return snapped


def _window_sum(mask: np.ndarray, size: int = 5) -> np.ndarray:
    """Count true pixels in the size x size window around each pixel, borders repeated."""
    height, width = mask.shape
    padded = np.pad(mask.astype(np.uint8), size // 2, mode="edge")
    rows = np.sum([padded[shift : shift + height] for shift in range(size)], axis=0)
    counts: np.ndarray = np.sum([rows[:, shift : shift + width] for shift in range(size)], axis=0)
    return counts
