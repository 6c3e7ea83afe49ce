from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.deploy.judges.panel import OWN, Panel
from decig.deploy.real import Real, RealPictures
from decig.errors import BadInputError
from decig.quality.distributions import frechet_distance, kernel_distance
from decig.quality.features import COUNT, EFFICIENTNET
from decig.quality.metrics import psnr


class Network:
    """Features that need no network: the pixels of a small picture, over and over."""

    kind = EFFICIENTNET

    def whole(self, picture: np.ndarray) -> np.ndarray:
        return np.resize(picture, COUNT)


PANEL = Panel({OWN: Network()})


def _pictures(folder: Path, names: list[str], seed: int, size: int = 16) -> np.ndarray:
    """Write random pictures; returns them as N,H,W,3 between 0 and 1."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (len(names), size, size, 3), dtype=np.uint8)
    for name, pixels in zip(names, pictures, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return pictures.astype(np.float32) / 255


def _judged(folder: Path, names: list[str], painted: np.ndarray) -> Real:
    """Let the reference paint these pictures, and the candidate darker ones."""
    real = RealPictures(folder, names, PANEL)
    for name, picture in zip(names, painted, strict=True):
        real.add(name, {"reference": picture[None], "candidate": picture[None] / 2})
    return real.result()


def _counted(found: Real) -> tuple[int, int, int]:
    """Numbers of painted pictures, of real ones, and of pairs."""
    protocol = found.distances[OWN]["candidate"].protocol
    return protocol.pictures, protocol.others, protocol.pairs


NAMES = ["a", "b", "c", "d"]


def test_pairs_are_compared_by_name(tmp_path):
    targets = _pictures(tmp_path, [f"{name}.png" for name in NAMES], 0)
    found = _judged(tmp_path, NAMES[::-1], targets[::-1])
    assert found.pairs["reference"].ssim == pytest.approx(1)
    assert found.pairs["reference"].psnr_db == 100
    assert found.pairs["candidate"].psnr_db == pytest.approx(psnr(targets, targets / 2))
    assert found.pairs["candidate"].ms_ssim is None  # 16x16 pixels
    assert found.distances[OWN]["reference"].distance.kid == pytest.approx(0, abs=1e-9)
    assert found.distances[OWN]["reference"].distance.frechet_distance == pytest.approx(0, abs=1e-9)
    assert found.distances[OWN]["candidate"].distance.kid > 0.01
    assert _counted(found) == (4, 4, 4)


def test_other_names_make_a_set_without_pairs(tmp_path):
    targets = _pictures(tmp_path / "real", ["sub/v.png", "sub/w.png", "x.png", "y.png"], 0)
    painted = _pictures(tmp_path / "painted", [f"{name}.png" for name in NAMES], 1)
    found = _judged(tmp_path / "real", NAMES, painted)
    assert found.pairs is None
    assert (found.matched, found.inputs) == (0, 4)
    x, y = (np.stack([Network().whole(p) for p in each]) for each in (painted / 2, targets))
    assert found.distances[OWN]["candidate"].distance.kid == pytest.approx(kernel_distance(x, y)[0])
    assert found.distances[OWN]["candidate"].distance.frechet_distance == pytest.approx(
        frechet_distance(x, y)
    )
    assert _counted(found) == (4, 4, 0)


def test_some_names_alone_make_no_pairs_but_are_not_counted_as_independent(tmp_path):
    targets = _pictures(tmp_path, ["c.png", "other.png", "third.png"], 0)
    painted = np.concatenate([targets, targets[:1]])
    found = _judged(tmp_path, NAMES, painted)
    assert found.pairs is None
    assert (found.matched, found.inputs, _counted(found)[2]) == (1, 4, 1)
    x, y = (np.stack([Network().whole(p) for p in each]) for each in (painted, targets))
    assert found.distances[OWN]["reference"].distance.kid == pytest.approx(
        kernel_distance(x, y, [(2, 0)])[0]
    )


def test_two_inputs_of_one_name_share_no_pair(tmp_path):
    targets = _pictures(tmp_path, ["a.png", "b.png", "c.png"], 0)
    found = _judged(tmp_path, ["one/a", "two/a", "b", "c"], targets[[0, 0, 1, 2]])
    assert found.pairs is None
    assert (found.matched, _counted(found)[2]) == (2, 2)


def test_real_pictures_are_fitted_to_the_painted_ones(tmp_path):
    flat = np.full((40, 90, 3), 128, np.uint8)
    for name in ("a", "b"):
        Image.fromarray(flat).save(tmp_path / f"{name}.png")
    found = _judged(tmp_path, ["a", "b"], np.full((2, 16, 16, 3), 128 / 255, np.float32))
    assert found.pairs["reference"].psnr_db == 100


def test_an_unreadable_target_is_skipped_and_named_once(tmp_path, caplog):
    _pictures(tmp_path, [f"{name}.png" for name in NAMES], 0)
    (tmp_path / "b.png").write_bytes(b"no picture")
    painted = np.zeros((4, 16, 16, 3), np.float32)
    found = _judged(tmp_path, NAMES, painted)
    assert found.skipped == [str(tmp_path / "b.png")]
    assert len(caplog.records) == 1
    assert _counted(found)[1:] == (3, 3)
    assert np.isfinite(found.pairs["candidate"].psnr_db)


def test_folders_without_a_usable_image(tmp_path):
    with pytest.raises(BadInputError, match="no images there"):
        RealPictures(tmp_path, NAMES, PANEL)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="none of its 1 images is readable"):
        _judged(tmp_path, NAMES, np.zeros((4, 16, 16, 3), np.float32))


def test_what_programs_read(tmp_path):
    targets = _pictures(tmp_path, [f"{name}.png" for name in NAMES], 0)
    found = _judged(tmp_path, NAMES, targets).to_dict()
    models = {"reference", "candidate"}
    for key in ("ssim", "psnr_db", "kid", "kid_standard_error", "frechet_distance"):
        assert found[key].keys() == models
    assert found["ms_ssim"] == {"reference": None, "candidate": None}
    assert found["protocol"]["others"] == 4
    unpaired = _judged(tmp_path, ["w", "x", "y", "z"], targets).to_dict()
    assert unpaired["ssim"] is unpaired["psnr_db"] is None
    assert unpaired["kid"].keys() == models
