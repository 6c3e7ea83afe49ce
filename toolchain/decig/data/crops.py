"""Windows of images: random crops for training, resized and centred ones for use."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from decig.errors import BadInputError

_FILTERS = {"nearest": Image.Resampling.NEAREST, "smooth": Image.Resampling.BICUBIC}


def random_crop(
    images: Sequence[np.ndarray],
    size: int,
    rng: np.random.Generator,
    *,
    zoom: float = 1.0,
    shrink: float = 1.0,
    flip: bool = True,
    filters: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Cut the same random window out of several aligned images, and mirror it half the time.

    Args:
        images: uint8 H,W,3; each a whole number of times as large as the first one.
        size: side of the first image's square result, in pixels; those of larger images are as
            many times larger.
        rng: makes every random choice, so equal seeds give equal crops.
        zoom: the window's content is enlarged by a random factor between 1 and this.
        shrink: the content is shrunk by a random factor between 1 and this, or by less where the
            image is too small for such a window.
        flip: whether to mirror at all.
        filters: "nearest" (label maps) or "smooth" for each image; smooth if not given.

    Returns:
        One uint8 array size,size,3 per image, or as much larger as the image is.

    Raises:
        BadInputError: an image is smaller than the crop.
    """
    height, width = images[0].shape[:2]
    if min(height, width) < size:
        raise BadInputError(f"a {width}x{height} image is too small for {size}x{size} crops")
    window = size / rng.uniform(1.0, zoom) if zoom > 1 else float(size)
    room = min(height, width) / window
    if shrink > 1:
        window *= rng.uniform(1.0, min(shrink, room))
    left, top = rng.uniform(0, width - window), rng.uniform(0, height - window)
    if window == size:
        left, top = round(left), round(top)
    mirrored = rng.random() < 0.5 and flip
    box = np.array([left, top, left + window, top + window])
    crops = []
    for image, name in zip(images, filters or ["smooth"] * len(images), strict=True):
        scale = len(image) // height
        side, place = scale * size, tuple(scale * box)
        crop = np.asarray(Image.fromarray(image).resize((side, side), _FILTERS[name], place))
        crops.append(np.ascontiguousarray(crop[:, ::-1] if mirrored else crop))
    return crops


def load_and_crop(
    images: Sequence[np.ndarray],
    load: int,
    size: int,
    rng: np.random.Generator,
    *,
    flip: bool = True,
    filters: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Resize aligned images to a square, cut the same random window out, mirror it half the time.

    So pix2pix, CycleGAN and GauGAN prepare their training images ("resize_and_crop").

    Args:
        images: uint8 H,W,3, all of one size; others than squares are distorted.
        load: side of the square, in pixels.
        size: side of the result, in pixels, at most `load`.
        rng: makes every random choice, so equal seeds give equal crops.
        flip: whether to mirror at all.
        filters: "nearest" (label maps) or "smooth" for each image; smooth if not given.

    Returns:
        One uint8 array size,size,3 per image.
    """
    left, top = (int(edge) for edge in rng.integers(load - size + 1, size=2))
    mirrored = rng.random() < 0.5 and flip
    crops = []
    for image, name in zip(images, filters or ["smooth"] * len(images), strict=True):
        loaded = np.asarray(Image.fromarray(image).resize((load, load), _FILTERS[name]))
        crop = loaded[top : top + size, left : left + size]
        crops.append(np.ascontiguousarray(crop[:, ::-1] if mirrored else crop))
    return crops


def bound(
    images: Sequence[np.ndarray], smallest: int, largest: int, *, filters: Sequence[str]
) -> tuple[np.ndarray, ...]:
    """Scale aligned images so that their shorter side is between `smallest` and `largest` pixels.

    Args:
        images: uint8 H,W,3; each a whole number of times as large as the first one, which it is
            after it too.
        smallest: least length of the first image's shorter side, in pixels.
        largest: greatest length of that side.
        filters: "nearest" (label maps) or "smooth" for each image.

    Returns:
        The scaled images; the same ones if their size is within the bounds already.
    """
    height, width = images[0].shape[:2]
    side = min(height, width)
    wanted = min(max(side, smallest), largest)
    if wanted == side:
        return tuple(images)
    columns, rows = round(width * wanted / side), round(height * wanted / side)
    found = []
    for image, name in zip(images, filters, strict=True):
        scale = len(image) // height
        size = scale * columns, scale * rows
        found.append(np.array(Image.fromarray(image).resize(size, _FILTERS[name])))
    return tuple(found)


def fit(image: np.ndarray, height: int, width: int, *, resample: str = "smooth") -> np.ndarray:
    """Resize an image until it just covers height x width, and cut out the centre.

    Args:
        image: uint8 H,W,3; one that has the size already comes back unchanged.
        height: of the result, in pixels.
        width: of the result, in pixels.
        resample: "nearest" for label maps, else "smooth".

    Returns:
        uint8 height,width,3.
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    scale = min(rows / height, columns / width)
    top, left = (rows - height * scale) / 2, (columns - width * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    return np.array(Image.fromarray(image).resize((width, height), _FILTERS[resample], box))
