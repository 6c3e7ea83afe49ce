import numpy as np
import pytest
from PIL import Image

from decig.data.crops import bound, fit, load_and_crop, random_crop
from decig.errors import BadInputError

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def _is_window(crop: np.ndarray, image: np.ndarray) -> bool:
    size = crop.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size, 3))[:, :, 0]
    return any((windows == c).all(axis=(2, 3, 4)).any() for c in (crop, crop[:, ::-1]))


def test_equal_seeds_give_equal_crops():
    crops = [random_crop([IMAGE], 16, np.random.default_rng(s), zoom=1.3)[0] for s in (1, 1, 2)]
    assert np.array_equal(crops[0], crops[1])
    assert not np.array_equal(crops[0], crops[2])


def test_crop_without_zoom_is_a_window_of_the_image():
    rng = np.random.default_rng(0)
    for _ in range(8):
        crop = random_crop([IMAGE], 16, rng)[0]
        assert crop.shape == (16, 16, 3)
        assert crop.flags.c_contiguous
        assert _is_window(crop, IMAGE)


def test_aligned_images_stay_aligned():
    shifted = 255 - IMAGE
    rng = np.random.default_rng(0)
    filters = ["nearest", "nearest"]
    for _ in range(8):
        one, other = random_crop([IMAGE, shifted], 16, rng, zoom=1.5, filters=filters)
        assert np.array_equal(255 - one, other)


@pytest.mark.parametrize("scale", [2, 3])
def test_images_that_are_larger_are_cut_where_the_first_is(scale):
    larger = IMAGE.repeat(scale, axis=0).repeat(scale, axis=1)
    rng = np.random.default_rng(0)
    for _ in range(8):
        one, other = random_crop([IMAGE, larger], 16, rng)
        assert np.array_equal(one.repeat(scale, axis=0).repeat(scale, axis=1), other)
    for _ in range(8):
        one, other = random_crop([IMAGE, larger], 16, rng, shrink=2.0)
        means = other.reshape(16, scale, 16, scale, 3).mean(axis=(1, 3))
        assert other.shape == (16 * scale, 16 * scale, 3)
        assert abs(means - one).mean() < 8 < abs(means[::-1] - one).mean()


def test_images_that_are_larger_are_bounded_with_the_first():
    larger = IMAGE.repeat(2, axis=0).repeat(2, axis=1)
    one, other = bound((IMAGE, larger), 10, 20, filters=["smooth", "smooth"])
    assert one.shape == (20, 30, 3) and other.shape == (40, 60, 3)
    assert bound((IMAGE, larger), 10, 50, filters=["smooth", "smooth"])[1] is larger


def test_nearest_invents_no_colours():
    labels = np.where(IMAGE > 127, 255, 0).astype(np.uint8)
    rng = np.random.default_rng(0)
    crop = random_crop([labels], 32, rng, zoom=1.2, filters=["nearest"])[0]
    assert set(np.unique(crop)) <= {0, 255}


def test_image_smaller_than_the_crop_is_refused():
    with pytest.raises(BadInputError, match="60x40 image is too small for 48x48"):
        random_crop([IMAGE], 48, np.random.default_rng(0))


def test_fit_covers_the_size_and_keeps_the_centre():
    marked = np.zeros((40, 80, 3), np.uint8)
    marked[:, 20:60] = 200
    fitted = fit(marked, 20, 20)
    assert fitted.shape == (20, 20, 3)
    assert fitted[:, 2:-2].min() == 200
    assert fit(marked, 40, 80) is marked


def test_fit_enlarges_small_images():
    assert fit(IMAGE, 100, 90).shape == (100, 90, 3)
    labels = np.where(IMAGE > 127, 255, 0).astype(np.uint8)
    assert set(np.unique(fit(labels, 100, 90, resample="nearest"))) == {0, 255}


@pytest.mark.parametrize(
    ("smallest", "largest", "shape"),
    [(20, 50, (40, 60, 3)), (10, 20, (20, 30, 3)), (80, 90, (80, 120, 3))],
)
def test_images_are_brought_within_bounds_together(smallest, largest, shape):
    one, other = bound([IMAGE, IMAGE], smallest, largest, filters=["smooth", "nearest"])
    assert one.shape == other.shape == shape
    assert {tuple(c) for c in other.reshape(-1, 3)} <= {tuple(c) for c in IMAGE.reshape(-1, 3)}
    assert (smallest <= 40 <= largest) == np.array_equal(one, IMAGE)


def test_loaded_images_are_squares_of_which_any_window_is_cut():
    rng = np.random.default_rng(0)
    loaded = np.array(Image.fromarray(IMAGE).resize((20, 20), Image.Resampling.BICUBIC))
    crops = [load_and_crop([IMAGE], 20, 16, rng)[0] for _ in range(40)]
    for crop in crops:
        assert crop.shape == (16, 16, 3) and crop.flags.c_contiguous
        assert _is_window(crop, loaded)
    assert len({crop.tobytes() for crop in crops}) > 25  # of 5 x 5 places, mirrored or not
    whole = load_and_crop([IMAGE], 20, 20, rng, flip=False)[0]
    assert np.array_equal(whole, loaded)


def test_loaded_images_stay_aligned_and_labels_unblended():
    labels = np.where(IMAGE > 127, 255, 0).astype(np.uint8)
    rng, filters = np.random.default_rng(0), ["nearest", "nearest"]
    for _ in range(8):
        one, other = load_and_crop([labels, 255 - labels], 44, 32, rng, filters=filters)
        assert np.array_equal(255 - one, other)
        assert set(np.unique(one)) <= {0, 255}


@pytest.mark.parametrize("flip", [True, False])
def test_crops_are_mirrored_half_the_time_or_never(flip):
    for cut in (
        lambda rng: random_crop([IMAGE[:40, :40]], 40, rng, flip=flip)[0],
        lambda rng: load_and_crop([IMAGE[:40, :40]], 40, 40, rng, flip=flip)[0],
    ):
        rng = np.random.default_rng(1)
        mirrored = [not np.array_equal(cut(rng), IMAGE[:40, :40]) for _ in range(40)]
        assert 10 < sum(mirrored) < 30 if flip else not any(mirrored)
