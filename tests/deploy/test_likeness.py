import numpy as np
import pytest

from decig.deploy.judges.panel import Panel
from decig.deploy.likeness import Likeness, compare_pictures
from decig.deploy.side import Side
from decig.device.run.device import Device
from decig.quality.metrics import edge_difference, psnr, ssim
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.samples import write_flat, write_generator, write_photos

FLAGS = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")


@pytest.fixture
def sides(tmp_path):
    """Open models as sides that paint the same photos."""
    folder = write_photos(tmp_path / "photos")

    def of(*paths):
        sources = [resolve(str(path), FLAGS) for path in paths]
        return [Side(source, source.pictures(folder), Device.of()) for source in sources]

    return of


def compared(reference: Side, candidate: Side) -> Likeness:
    return compare_pictures(reference, candidate, panel=Panel())


def test_each_model_has_its_own_colour(sides, tmp_path):
    vivid, grey = (0.8, 0.5, 0.2), (0.2, 0.2, 0.2)
    found = compared(
        *sides(write_flat(tmp_path / "a.onnx", vivid), write_flat(tmp_path / "b.onnx", grey))
    )
    assert found.colour["reference"] == pytest.approx(0.6, abs=1e-6)
    assert found.colour["candidate"] == pytest.approx(0.0, abs=1e-6)
    assert found.edges == pytest.approx(0.0, abs=1e-6)
    error = np.square(np.subtract(vivid, grey)).mean()
    assert found.pairs.psnr_db == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_figures_are_means_over_all_photos(sides, tmp_path):
    paths = [write_generator(tmp_path / f"{seed}.onnx", seed=seed) for seed in (0, 1)]
    found = compared(*sides(*paths))
    one, other = (
        np.concatenate([side.paint(picture)[0] for picture in side.pictures])
        for side in sides(*paths)
    )
    assert len(one) == found.images == 3
    assert found.pairs.ssim == pytest.approx(ssim(one, other), abs=1e-5)
    assert found.pairs.psnr_db == pytest.approx(psnr(one, other), abs=1e-4)
    assert found.edges == pytest.approx(edge_difference(one, other), abs=1e-6)
    assert found.edges > 0.01
