import io

import numpy as np
from PIL import Image

from decig.data.palette import snap

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
