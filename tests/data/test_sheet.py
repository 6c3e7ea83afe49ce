import numpy as np
from PIL import Image

from decig.data.sheet import write_sheet


def test_sheet_shows_every_picture_in_its_cell(tmp_path):
    black, white = np.zeros((16, 20, 3), np.uint8), np.full((16, 20, 3), 255, np.uint8)
    red = black + np.array([200, 0, 0], np.uint8)
    write_sheet({"one": [black, red], "two": [red, white]}, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.array(image)
    assert (sheet == [0, 0, 0]).all(axis=-1).sum() >= black[..., 0].size
    assert (sheet == [200, 0, 0]).all(axis=-1).sum() == 2 * red[..., 0].size
    assert list(tmp_path.iterdir()) == [tmp_path / "sheet.png"]


def test_the_name_says_the_format(tmp_path):
    grey = np.full((16, 16, 3), 128, np.uint8)
    for name, kind in (("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.png", "PNG"), ("a", "PNG")):
        write_sheet({"one": [grey]}, tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.format == kind
