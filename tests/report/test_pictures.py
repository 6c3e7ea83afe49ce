import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig import records
from decig.records import Picture, Pictures
from decig.report.pictures import AMPLIFIED, exhibits
from tests.report.runs import write_run


def read(url: str) -> np.ndarray:
    head, _, data = url.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), int)


def of(folder: Path) -> Pictures:
    found = records.load(folder, records.PICTURES_FILE, Pictures)
    assert found is not None
    return found


def test_the_worst_come_first_and_are_marked(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    shown, lost = exhibits(folder, of(folder), worst=2)
    assert lost == [] and [each.rank for each in shown] == [1, 2, 3]
    assert [each.worst for each in shown] == [True, True, False]
    assert (shown[0].height, shown[0].width) == (48, 48)
    kinds = [view.kind for view in shown[0].views]
    assert kinds == ["input", "original", "compressed", "difference"]


def test_the_difference_is_amplified_and_of_the_kept_pictures(tmp_path: Path) -> None:
    for name, value in (("a", 100), ("b", 110)):
        flat = np.full((40, 60, 3), value, np.uint8)
        Image.fromarray(flat).save(tmp_path / f"{name}.webp", lossless=True)
    files = {"original": "a.webp", "compressed": "b.webp"}
    picture = Picture(name="x", ssim=0.9, psnr_db=30.0, files=files)
    (shown,), _ = exhibits(
        tmp_path, Pictures(folder=None, height=40, width=60, pictures=[picture]), worst=0
    )
    assert [view.kind for view in shown.views] == ["original", "compressed", "difference"]
    assert abs(read(shown.views[-1].source) - 10 * AMPLIFIED).max() <= 3
    assert (shown.height, shown.width) == (40, 60)


@pytest.mark.parametrize("budget", [60_000, 120_000])
def test_pictures_become_smaller_until_they_fit(tmp_path: Path, budget: int) -> None:
    folder = write_run(tmp_path / "run", pictures=2, size=300)
    large, _ = exhibits(folder, of(folder), worst=0, budget=10**8)
    small, _ = exhibits(folder, of(folder), worst=0, budget=budget)
    assert read(large[0].views[0].source).shape == (300, 300, 3)
    taken = sum(len(view.source) for each in small for view in each.views)
    assert taken < 1.4 * budget, "base64 takes a third more"
    assert read(small[0].views[0].source).shape[0] < 300


def test_files_that_are_gone_or_broken_are_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "pictures" / "00-original.webp").unlink()
    (folder / "pictures" / "01-input.webp").write_bytes(b"no picture")
    shown, lost = exhibits(folder, of(folder), worst=1)
    assert [Path(file).name for file in lost] == ["00-original.webp", "01-input.webp"]
    assert [view.kind for view in shown[0].views] == ["input", "compressed"]


def test_images_that_are_not_shown_count_for_the_rank(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    record = of(folder)
    hidden = [Picture(name="hidden", ssim=0.1, psnr_db=9.0)]
    more = Pictures(folder=None, height=48, width=48, pictures=hidden + record.pictures)
    shown, _ = exhibits(folder, more, worst=2)
    assert [each.rank for each in shown] == [2, 3, 4] and shown[0].worst and not shown[1].worst
