"""Every task of `decig train`: a run that was killed ends exactly as one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from decig.training import tasks
from decig.training.loop.engine import News
from decig.training.loop.processes import Processes
from decig.training.tasks import Original
from tests.training import small_originals

_EPOCHS = small_originals.STAGES.replace("steps = 6", "epochs = 3")
SETTINGS = {
    "paired": {"settings": f"ema = 0.5\n{small_originals.STAGES}"},
    "unpaired": {"settings": f"pool = 2\nidentity = 0.1\nema = 0.5\n{small_originals.STAGES}"},
    "label_map": {
        "settings": f'spectral_norm = ["4"]\n{_EPOCHS}',
        "labels": small_originals.ONE_HOT,
        "channels": 4,
    },
}
KILLED_AT = 4


@pytest.fixture(params=SETTINGS)
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    small_originals.write_recipe(tmp_path, request.param, **SETTINGS[request.param])
    small_originals.write_data(tmp_path / "data", request.param)
    name: str = request.param
    return name


def open_again(folder: Path, name: str) -> Original:
    recipe = small_originals.load_recipe(folder)
    return tasks.find(name).open_task(recipe, folder / "data", Processes())


@pytest.mark.usefixtures("saving_always")
def test_a_killed_run_ends_as_an_unbroken_one(name: str, tmp_path: Path) -> None:
    whole = small_originals.run(open_again(tmp_path, name))

    def kill(news: News) -> None:
        if news.step == KILLED_AT:
            raise SystemExit

    state = tmp_path / "state.pt"
    with pytest.raises(SystemExit):
        small_originals.run(open_again(tmp_path, name), state_file=state, report=kill)
    assert torch.load(state, weights_only=True)["step"] == KILLED_AT - 1
    again = small_originals.run(open_again(tmp_path, name), state_file=state)
    wanted, found = small_originals.state_of(whole), small_originals.state_of(again)
    assert wanted.keys() == found.keys()
    for key, value in wanted.items():
        assert torch.equal(value, found[key]), key


@pytest.mark.slow
def test_a_process_killed_by_the_system_goes_on(name: str, tmp_path: Path) -> None:
    """SIGKILL in the middle; the two exported files are the same bytes."""
    recipe = tmp_path / "recipe.toml"
    steps = 60
    text = recipe.read_text().replace("steps = 6", f"steps = {steps}")
    recipe.write_text(text.replace("epochs = 3", f"epochs = {steps * 2 // 5}"))
    command = [sys.executable, "-c", "from decig.cli.main import main; main()", "train"]
    command += [str(tmp_path), "--data", str(tmp_path / "data"), "--output-dir"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    killed = subprocess.Popen([*command, str(cut)], stderr=subprocess.DEVNULL)
    while not (cut / "state.pt").exists():
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert torch.load(cut / "state.pt", weights_only=True)["step"] < steps
    subprocess.run([*command, str(cut), "--resume"], check=True, capture_output=True)
    for file in whole.glob("*.onnx"):
        assert file.read_bytes() == (cut / file.name).read_bytes()
