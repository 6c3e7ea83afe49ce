"""Write the label maps of labels/ from the facades pairs: make_labels.py FACADES_FOLDER.

FACADES_FOLDER holds train/ and val/ as pix2pix distributes them: photo left, label map right.
Each map is snapped to the twelve exact colours, as training does, and stored as a palette PNG.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from decig.data.layouts import Split
from decig.data.pairs import Pairs
from decig.source.recipe import load_recipe

COUNTS = {"train": 48, "val": 12}


def main(facades: Path) -> None:
    """Spread the choice evenly over each split."""
    folder = Path(__file__).parent
    recipe = load_recipe(folder)
    labels = recipe.pixels.labels
    assert labels is not None
    palette = np.array(labels.palette, np.uint8)
    for split, count in COUNTS.items():
        pairs = Pairs(Split(*[facades / split] * 2), "BtoA", labels)
        target = folder / "labels" / split
        target.mkdir(parents=True, exist_ok=True)
        for index in np.linspace(0, len(pairs) - 1, count).round().astype(int):
            write_indexed(pairs[index].input, palette, target / f"{pairs[index].name}.png")


def write_indexed(labels: np.ndarray, palette: np.ndarray, path: Path) -> None:
    """Write an H,W,3 image that holds only colours of `palette` as an indexed PNG."""
    indices = (labels[:, :, None] == palette).all(axis=-1).argmax(axis=-1).astype(np.uint8)
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    image.save(path, optimize=True, bits=4)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
