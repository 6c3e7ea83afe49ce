from pathlib import Path

import numpy as np
import torch
from PIL import Image

from decig.data.gallery import Gallery
from decig.data.images import read_image
from decig.data.pixels import PixelFormat
from decig.training.data.pool import Crops
from decig.training.data.real_pictures import RealPictures
from tests.samples import write_photos

PIXELS = PixelFormat((-1.0, 1.0), (0.0, 1.0))


def pictures(folder: Path, order: str = "rgb", seed: int = 0, rank: int = 0) -> RealPictures:
    gallery = Gallery(write_photos(folder, 4, 50, 60))
    pixels = PixelFormat((0.0, 1.0), (0.0, 1.0), channel_order=order)
    return RealPictures(gallery, Crops(32, 24, 3, 1.2), pixels, seed=seed, rank=rank)


def test_real_pictures_follow_from_seed_step_and_rank(tmp_path: Path) -> None:
    first = pictures(tmp_path).batch(5)
    assert first.shape == (3, 3, 32, 24) and 0 <= first.min() < first.max() <= 1
    assert torch.equal(first, pictures(tmp_path).batch(5))
    for other in (
        pictures(tmp_path).batch(6),
        pictures(tmp_path, seed=1).batch(5),
        pictures(tmp_path, rank=1).batch(5),
    ):
        assert not torch.equal(first, other)


def test_real_pictures_have_the_channel_order_of_the_model(tmp_path: Path) -> None:
    rgb, bgr = (pictures(tmp_path, order).batch(0) for order in ("rgb", "bgr"))
    assert torch.equal(rgb, bgr.flip(1)) and not torch.equal(rgb, bgr)


def test_small_pictures_are_enlarged_to_a_crop(tmp_path: Path) -> None:
    gallery = Gallery(write_photos(tmp_path, 2, 12, 16))
    made = RealPictures(gallery, Crops(32, 32, 1, 1.0), PIXELS, seed=0)
    found = made.batch(0)
    assert found.shape == (1, 3, 32, 32)
    shown = (found[0].permute(1, 2, 0) * 255).round().numpy()
    windows = []
    for file in tmp_path.iterdir():
        larger = Image.fromarray(read_image(file)).resize((43, 32), Image.Resampling.BICUBIC)
        crops = [np.asarray(larger)[:, left : left + 32] for left in range(43 - 32 + 1)]
        windows += [each[:, ::way] for each in crops for way in (1, -1)]
    assert any(np.array_equal(shown, window) for window in windows)
