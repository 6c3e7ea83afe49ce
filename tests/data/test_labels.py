import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.data import labels as module
from decig.data.labels import COLOURS, Labels, parse_labels, snap
from decig.errors import BadInputError

PALETTE = np.array([[0, 0, 222], [0, 48, 255], [0, 128, 255], [255, 80, 0]], np.uint8)


def _label_map() -> np.ndarray:
    labels = np.ones((64, 64), int)
    labels[:16] = 0
    labels[24:40, 8:20] = 2
    labels[24:40, 32:52] = 3
    return PALETTE[labels]


def test_clean_label_map_is_left_alone():
    clean = _label_map()
    assert np.array_equal(snap(clean, PALETTE), clean)


def test_jpeg_noise_and_blurred_borders_go():
    clean = _label_map()
    stored = io.BytesIO()
    Image.fromarray(clean).save(stored, "JPEG", quality=75)
    with Image.open(stored) as image:
        blurred = np.array(image)
    assert len(np.unique(blurred.reshape(-1, 3), axis=0)) > 50

    snapped = snap(blurred, PALETTE)

    assert {tuple(c) for c in np.unique(snapped.reshape(-1, 3), axis=0)} <= set(map(tuple, PALETTE))
    assert (snapped == clean).all(axis=-1).mean() > 0.98


def test_no_third_label_appears_between_two():
    border = np.zeros((16, 16, 3), np.uint8)
    border[:, :7] = PALETTE[0]
    border[:, 7:9] = (0, 88, 240)  # a blend of labels 0 and 2 that looks like label 1
    border[:, 9:] = PALETTE[2]
    colours = np.unique(snap(border, PALETTE[[0, 1, 2]]).reshape(-1, 3), axis=0)
    assert PALETTE[1].tolist() not in colours.tolist()


def test_thin_lines_in_exact_colours_stay():
    clean = _label_map()
    clean[::7, 3] = PALETTE[3]
    assert np.array_equal(snap(clean, PALETTE), clean)


def test_colours_and_ids_become_one_hot():
    places = np.array([[[0, 3], [2, 1]]])
    hot = np.eye(4, dtype=bool)[places]
    colours = Labels(palette=tuple(map(tuple, PALETTE.tolist())))
    assert np.array_equal(colours.to_one_hot(PALETTE[places]), hot)
    ids = np.repeat(places[..., None], 3, axis=-1).astype(np.uint8)
    assert np.array_equal(Labels(ids=4).to_one_hot(ids), hot)


def test_ids_that_are_no_labels():
    image = np.full((2, 2, 3), 1, np.uint8)
    image[0, 0] = 9
    path = Path("a.png")
    with pytest.raises(BadInputError, match=r"a\.png: holds the id 9, but labels end at 2"):
        Labels(ids=3).clean(image, path)
    last = Labels(ids=3, unknown="last")
    assert last.to_one_hot(last.clean(image, path)[None])[0, 0, 0].tolist() == [False, False, True]
    none = Labels(ids=3, unknown="none")
    hot = none.to_one_hot(none.clean(image, path)[None])[0]
    assert not hot[0, 0].any()
    assert hot[1, 1].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "one of palette and ids"),
        ({"ids": 3, "palette": ((0, 0, 0),)}, "one of palette and ids"),
        ({"ids": 256}, "1 to 255 labels"),
        ({"ids": -1}, "1 to 255 labels"),
        ({"palette": ((0, 0),)}, "no colour of bytes"),
        ({"palette": ((0, 0, 256),)}, "no colour of bytes"),
        ({"palette": ((0, 0, 1), (0, 0, 1))}, "the same colour"),
        ({"ids": 3, "encoding": "two-hot"}, "one-hot, colours"),
        ({"ids": 3, "encoding": "colours"}, "ids have no colours"),
        ({"ids": 3, "unknown": "guess"}, "refuse, last, none"),
        ({"palette": ((0, 0, 1),), "unknown": "last"}, "unknown goes with ids"),
    ],
)
def test_labels_that_cannot_be_meant(changes, message):
    with pytest.raises(BadInputError, match=message):
        Labels(**changes)


def test_labels_from_the_command_line():
    assert parse_labels("12") == Labels(ids=12)
    assert parse_labels("0000de,#FF5000", COLOURS) == Labels(
        palette=((0, 0, 222), (255, 80, 0)), encoding="colours"
    )
    for text in ("", "0", "twelve", "0000d", "0000de,", "123456789"):
        with pytest.raises(BadInputError, match="neither a number of labels nor a list of RRGGBB"):
            parse_labels(text)


def test_ids_are_spread_over_the_greys_to_look_at():
    ids = np.array([[[0] * 3, [4] * 3]], np.uint8)
    assert Labels(ids=5).show(ids).max() == 204


def test_photos_are_told_from_label_maps_in_the_colours_of_a_palette():
    labels = Labels(palette=((0, 0, 222), (255, 0, 0)))
    blurred = np.clip(np.full((9, 9, 3), (0, 0, 222)) + np.arange(9)[:, None] * 2, 0, 255)
    labels.require_like(blurred.astype(np.uint8), Path("a.jpg"))
    photo = np.random.default_rng(0).integers(90, 160, (9, 9, 3), np.uint8)
    with pytest.raises(BadInputError, match=r"a\.jpg: no label map: 0\.0% of its pixels"):
        labels.require_like(photo, Path("a.jpg"))
    Labels(ids=3).require_like(photo, Path("a.png"))  # ids are checked where they are read


@pytest.mark.parametrize("seed", range(6))
def test_snapping_is_that_of_the_rule_written_down_at_once(seed: int):
    """Label by label, as large maps need it, gives what all distances at once give."""
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (7, 3)).astype(np.uint8)
    blocks = palette[rng.integers(0, 7, (6, 5))].repeat(6, axis=0).repeat(7, axis=1)
    image = np.clip(blocks + rng.normal(0, 25, blocks.shape), 0, 255).astype(np.uint8)
    distance = np.square(image[:, :, None].astype(np.float32) - palette).sum(axis=-1)
    nearest, clear = distance.argmin(axis=-1), distance.min(axis=-1) < module._CLEAR**2
    seen = [module._window_sum(clear & (nearest == label)) for label in range(7)]
    allowed = np.stack(seen, axis=-1) >= module._SEVERAL
    allowed |= ~allowed.any(axis=-1, keepdims=True)
    wanted = palette[np.where(allowed, distance, np.inf).argmin(axis=-1)]
    assert np.array_equal(snap(image, palette), wanted)
    assert not np.array_equal(wanted, palette[nearest])
