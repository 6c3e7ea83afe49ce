"""Figures that say how alike two batches of pictures are, or what one batch looks like.

A batch is always float N,H,W,3 RGB between 0 and 1, and the result is the mean over its pictures,
so that figures for different sizes and numbers of pictures can be compared.
"""

from dataclasses import dataclass

import numpy as np
from skimage.metrics import structural_similarity

from decig.errors import BadInputError

SSIM_WINDOW = 11
"""Pixels that a side of a picture has at least, so that its SSIM can be taken."""


@dataclass(frozen=True)
class Likeness:
    """How alike two batches of pictures are.

    Attributes:
        ssim: their structural similarity; 1 for equal pictures.
        psnr_db: their peak signal-to-noise ratio, in dB; 100 for equal pictures.
    """

    ssim: float
    psnr_db: float

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray) -> "Likeness":
        """Compare two batches; errors as for `ssim`."""
        return cls(ssim(a, b), psnr(a, b))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity (SSIM): 1 for equal pictures.

    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity"
    (IEEE TIP 2004): Gaussian windows of sigma 1.5, K1 0.01, K2 0.03, the mean over R, G and B.

    Raises:
        BadInputError: the batches differ in shape, or pictures are under 11x11 pixels.
    """
    check_same(a, b)
    if min(a.shape[1:3]) < SSIM_WINDOW:
        least = f"{SSIM_WINDOW}x{SSIM_WINDOW}"
        raise BadInputError(f"SSIM needs pictures of at least {least} pixels, not {a.shape[1:3]}")
    values = [
        structural_similarity(  # type: ignore[no-untyped-call]
            one,
            other,
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(a, b, strict=True)
    ]
    return float(np.mean(values))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB: the mean over pictures, each counted as 100 at most.

    The limit keeps the mean finite where pictures are equal: 100 dB is an error of 1e-5.

    Raises:
        BadInputError: the batches differ in shape.
    """
    check_same(a, b)
    error = np.square(a.astype(np.float64) - b).mean(axis=(1, 2, 3))
    return float(np.mean(-10 * np.log10(np.maximum(error, 1e-10))))


def colour(a: np.ndarray) -> float:
    """Mean over pixels of the largest minus the smallest of R, G and B: 0 for grey pictures."""
    _check_batch(a)
    return float((a.max(axis=-1) - a.min(axis=-1)).mean(dtype=np.float64))


def edge_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of the horizontal and vertical one-pixel gradients.

    A blurred copy and a copy with a false texture both score high; a plain shift in brightness
    scores 0.

    Raises:
        BadInputError: the batches differ in shape.
    """
    check_same(a, b)
    difference = a.astype(np.float64) - b
    across, down = np.diff(difference, axis=2), np.diff(difference, axis=1)
    return float((np.abs(across).mean() + np.abs(down).mean()) / 2)


def pixel_grid(a: np.ndarray) -> float:
    """Strength of a pattern that alternates from pixel to pixel, such as a checkerboard.

    The mean of all blocks of 4x4 pixels shows what repeats on the grid of strided layers (periods
    2 and 4), while the content of the pictures averages out. From each picture the mean of every
    pixel's 3x3 neighbourhood is subtracted first. The figure is the standard deviation over the
    4x4 positions of the mean block; its mean over R, G, B and pictures is returned. Photos of
    256x256 pixels have about 0.001; a checkerboard of plus and minus 0.01, which the eye sees in
    flat areas, has 0.009.

    Raises:
        BadInputError: pictures are under 12x12 pixels.
    """
    _check_batch(a)
    count, height, width, _ = a.shape
    if min(height, width) < 12:
        raise BadInputError(f"the pixel grid needs 12x12 pixels, not {height}x{width}")
    inner = a[:, 1:-1, 1:-1].astype(np.float64)
    shifts = [(y, x) for y in range(3) for x in range(3)]
    around = sum(a[:, y : height - 2 + y, x : width - 2 + x].astype(np.float64) for y, x in shifts)
    detail = inner - around / 9
    rows, columns = (height - 2) // 4, (width - 2) // 4
    blocks = detail[:, : rows * 4, : columns * 4].reshape(count, rows, 4, columns, 4, 3)
    return float(blocks.mean(axis=(1, 3)).std(axis=(1, 2)).mean())


def _check_batch(a: np.ndarray) -> None:
    if a.ndim != 4 or a.shape[-1] != 3 or not np.issubdtype(a.dtype, np.floating):
        raise BadInputError(f"a batch of pictures is float N,H,W,3; this is {a.dtype} {a.shape}")


def check_same(a: np.ndarray, b: np.ndarray) -> None:
    """Check that two batches of pictures can be compared; BadInputError where they cannot."""
    _check_batch(a)
    _check_batch(b)
    if a.shape != b.shape:
        raise BadInputError(f"cannot compare pictures of shapes {a.shape} and {b.shape}")
