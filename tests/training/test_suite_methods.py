"""Every method on real generators made by others: a short run, killed and gone on with.

A run that was killed (SIGKILL, which leaves no time to save anything) must end with the student of
one that was not. The target is one of multiply-accumulates, so nothing is measured.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

import decig as decig_package
from decig.data.images import ImageFolder
from decig.graph.cost import count
from decig.graph.model import load_model
from decig.training.methods import names

pytestmark = pytest.mark.slow

PIXELS = {
    "mobil_highstyle": ("0,255", "0,255", "rgb"),
    "espcn_x3": ("0,1", "0,1", "rgb"),
    "sed_unet": ("0,1", "0,1", "rgb"),
    "fns_candy_nc16": ("0,255", "0,255", "rgb"),
    "winml_candy_op17_256": ("0,255", "0,255", "bgr"),
    "udnie": ("0,255", "0,255", "rgb"),
    "wave": ("0,255", "0,255", "rgb"),
}
"""Range of the input, of the output, and order of the channels, as SUITE.md says."""
LEFT = {"mobil_highstyle": 0.8}
"""Share of the multiply-accumulates to reach, where half is out of reach."""
KILLED_AT = {
    "decig": "start.onnx",
    "supernet": "supernet-start.onnx",
    "hypernet": "hypernet.onnx",
}
"""File of the run folder at which a run is killed: what follows it is training or planning."""
CONFIG = """
[train]
precision = "fp32"
[distil]
crop = 64
held_out = 2
repair_crops = 4
[supernet]
plans = 6
population = 5
menu = 4
scored = 2
"""
STEPS = 20
_WAIT_S = 0.05


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A folder with a few photos and the settings."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "photos").mkdir()
    source = shared_data / "photos" / "val"
    for path in itertools.islice(sorted(source.iterdir()), 8):
        shutil.copy(path, folder / "photos")
    assert len(ImageFolder(folder / "photos")) == 8
    (folder / "settings.toml").write_text(CONFIG)
    return folder


def start(place: Path, run: Path, *asked: object) -> subprocess.Popen[str]:
    """Begin or go on in a process of its own; what it says goes to a file beside the run."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(decig_package.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "decig", "compress", *map(str, asked)]
    with run.with_suffix(".log").open("w") as said:
        return subprocess.Popen(
            [*command, "--output-dir", str(run)],
            cwd=place,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )


def finish(process: subprocess.Popen[str], run: Path) -> None:
    assert process.wait() == 0, run.with_suffix(".log").read_text()[-4000:]


def weights(run: Path) -> list[bytes]:
    return [t.raw_data for t in onnx.load(run / "student.onnx").graph.initializer]


@pytest.mark.parametrize("method", names())
@pytest.mark.parametrize("name", PIXELS)
def test_a_killed_run_ends_as_one_that_was_not(
    place: Path, tmp_path: Path, shared_suite: Path, name: str, method: str
) -> None:
    given, made, order = PIXELS[name]
    pixels = ("--input-range", given, "--output-range", made, "--channel-order", order)
    share = LEFT.get(name, 0.5)
    asked = (shared_suite / f"{name}.onnx", *pixels, "--data", "photos", "--method", method)
    asked = (*asked, "--config", "settings.toml", "--steps", STEPS, "--target-macs", share)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(start(place, whole, *asked), whole)
    process = start(place, broken, *asked)
    while not (broken / KILLED_AT[method]).exists() and process.poll() is None:
        time.sleep(_WAIT_S)
    process.kill()
    process.wait()
    assert not (broken / "student.onnx").exists()
    finish(start(place, broken, "--resume"), broken)
    assert weights(whole) == weights(broken)
    report = json.loads((broken / "report.json").read_text())
    assert report["macs"]["after"] <= report["target_macs"]
    assert report["macs"]["after"] == count(load_model(broken / "student.onnx").proto).macs
    assert report["ssim"] >= report["ssim_before_distilling"]
