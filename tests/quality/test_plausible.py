import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.quality.plausible import PictureValues

RNG = np.random.default_rng(0)


def photo(height: int = 32, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth picture between 0 and 1, as photos are: most of it between 0.2 and 0.8."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (height // 8 + 2, width // 8 + 2, channels))
    fine = np.kron(coarse, np.ones((8, 8, 1)))[:height, :width]
    return fine + rng.normal(0, 0.01, fine.shape)


def fault_of(*pictures: np.ndarray) -> str | None:
    values = PictureValues()
    for picture in pictures:
        values.add(picture[None])
    return values.fault() or values.doubt()


PHOTOS = [photo(seed=seed) for seed in range(4)]


def test_photos_pass():
    assert fault_of(*PHOTOS) is None


@pytest.mark.parametrize(
    ("of", "stated"),
    [
        ((0, 1), (0, 255)),
        ((0, 255), (0, 1)),
        ((0, 255), (-1, 1)),
        ((-1, 1), (0, 255)),
        ((0, 2**16 - 1), (0, 255)),
    ],
)
def test_a_wrong_range_is_found(of, stated):
    raw = [p * (of[1] - of[0]) + of[0] for p in PHOTOS]
    assert fault_of(*((p - stated[0]) / (stated[1] - stated[0]) for p in raw)) is not None
    assert fault_of(*((p - of[0]) / (of[1] - of[0]) for p in raw)) is None


def test_the_darker_half_outside_is_a_doubt_and_nearly_all_a_fault():
    values = PictureValues()
    values.add(np.stack([2 * p - 1.3 for p in PHOTOS]))
    assert values.fault() is None
    assert "below the range and 0% above" in values.doubt()
    values.add(np.stack([p - 1 for p in PHOTOS] * 2))
    assert "below the range" in values.fault()


def test_what_explodes_both_ways_is_found():
    far = [(p - 0.5) * 1e4 for p in PHOTOS]
    assert "below the range" in fault_of(*far)


def test_flat_pictures_are_found():
    assert "flat" in fault_of(*(np.full((32, 32, 3), level) for level in (0.2, 0.5, 0.8)))
    assert "use 0.0%" in fault_of(*[np.full((32, 32, 3), 0.5)] * 3)


def test_saturated_colours_are_found():
    assert "very ends" in fault_of(*(np.round(p) for p in PHOTOS))


def test_a_grey_picture_that_is_white_is_flat_but_an_empty_mask_is_not():
    white = np.ones((32, 32, 1))
    white[0, 0] = 0  # so that the range is used
    assert "flat" in fault_of(white, white)
    assert fault_of(1 - white, 1 - white) is None


def _drawing() -> np.ndarray:
    """Black lines on white, softened."""
    page = np.ones((48, 48, 3))
    page[10:12] = page[:, 30:32] = 0.0
    page[9] = page[12] = 0.4
    return page


def _shoe() -> np.ndarray:
    """A photo that fills a third of an exactly white page."""
    page = np.ones((48, 48, 3))
    page[16:32] = photo(16, 48)
    return page


def _night() -> np.ndarray:
    """Exactly black but for a few lights."""
    sky = np.zeros((48, 48, 3))
    sky[20:24, 20:24] = [0.9, 0.8, 0.5]
    sky[40:] = 0.06
    return sky


def _mask() -> np.ndarray:
    mask = np.zeros((48, 48, 1))
    mask[10:20, 10:20] = 1
    return mask


@pytest.mark.parametrize(
    "picture",
    [
        _drawing(),
        _shoe(),
        _night(),
        _mask(),
        1 - _mask(),
        np.repeat(_mask(), 3, axis=-1),  # a mask in three channels
        photo() * 0.12,  # a dark room
        0.9 + photo() * 0.1,  # fog
        0.48 + photo() * 0.05,  # what an untrained generator paints
        photo() * 1.2 - 0.1,  # overshoots a little at both ends
        photo() * 1.08,
    ],
)
def test_what_real_models_paint_passes(picture):
    assert fault_of(picture, picture) is None


def test_dark_pictures_pass_where_some_are_bright():
    assert fault_of(np.zeros((32, 32, 3)), np.zeros((32, 32, 3)), PHOTOS[0]) is None


def test_no_numbers_and_no_pictures_are_another_fault():
    assert fault_of() is None
    assert fault_of(np.full((8, 8, 3), np.nan)) is None
    assert fault_of(np.full((8, 8, 3), np.inf), PHOTOS[0]) is None


@given(st.integers(5, 100), st.integers(0, 100), st.integers(0, 99))
def test_no_contrast_or_brightness_of_a_photo_is_refused(contrast, brightness, seed):
    share, level = contrast / 100, brightness / 100
    picture = level * (1 - share) + share * np.clip(photo(seed=seed), 0, 1)
    assert fault_of(picture) is None
