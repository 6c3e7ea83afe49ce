"""What stages add to a training step: the steps that are timed, and the table."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import stage_cost
from click.testing import CliRunner
from stage_cost import STAGES, comparisons
from training_steps import Work, magnitude_order, slim

from decig.data.pixels import PixelFormat
from decig.device.run.timing import Latency
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.training.config import Config
from tests.benchmarks.small import SIDE, write_settings
from tests.samples import write_generator, write_photos


@pytest.fixture
def work(tmp_path: Path) -> Work:
    model = load_model(write_generator(tmp_path / "small.onnx", size=SIDE))
    photos = write_photos(tmp_path / "photos", 3, 40, 40)
    pixels, config = PixelFormat((0, 1), (0, 1)), Config.read(write_settings(tmp_path))
    return Work(model, photos, pixels, config)


def test_every_stage_trains_what_it_is_compared_with(work: Work) -> None:
    for name, make in comparisons(work, 0.75).items():
        compared = make()
        for step in (compared.stage, *compared.plain.values()):
            step()
            step()
        assert len(compared.plain) == (3 if name == "supernet" else 1)


@pytest.fixture
def wide(tmp_path: Path) -> onnx.ModelProto:
    return load_model(write_generator(tmp_path / "wide.onnx", size=SIDE, width=32)).proto


def test_slim_graphs_have_the_widths_they_say(wide: onnx.ModelProto) -> None:
    sliced, widths = slim(wide, 0.5)
    assert set(widths.values()) == {16}
    assert analyse(sliced).widths == analyse(wide).widths | widths


def test_channels_with_great_weights_come_first(wide: onnx.ModelProto) -> None:
    order = magnitude_order(wide, analyse(wide))
    assert order and all(sorted(each) == list(range(32)) for each in order.values())
    assert any(list(each) != list(range(32)) for each in order.values())


def test_a_line_has_the_ratio_its_spread_and_whether_the_limit_is_kept() -> None:
    plain = [Latency(1000.0, 0.0, 1000.0, 20), Latency(3000.0, 0.0, 3000.0, 20)]
    line = stage_cost._line("supernet", plain, Latency(4400.0, 44.0, 4500.0, 100))
    assert "| 1.0 (0.0) + 3.0 (0.0) | 4.4 (0.0) | 250.00 | 227.27 |" in line
    assert line.endswith("| 1.100 ± 0.002 | 1.30 | yes |")
    assert stage_cost._line("supernet", plain, Latency(5400.0, 0.0, 5400.0, 20)).endswith("| NO |")
    assert stage_cost._line("hypernet", plain, plain[0]).endswith("| - | - |")
    assert np.isclose(float(line.split("|")[6].split("±")[0]), 1.1)


def test_the_command(work: Work, tmp_path: Path) -> None:
    given = [
        "--model",
        work.model.path,
        "--data",
        work.data,
        "--config",
        tmp_path / "settings.toml",
    ]
    given += ["--input-range", "0,1", "--output-range", "0,1", "--rounds", 1]
    given += ["--results", tmp_path, "--only", "stage II", "--only", "supernet"]
    result = CliRunner().invoke(stage_cost.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "stage_cost.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["stage II", "supernet"]
    assert set(STAGES) == {"stage I", "stage II", "supernet", "hypernet"}
