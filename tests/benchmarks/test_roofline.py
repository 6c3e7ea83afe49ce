"""The pieces of the roofline benchmark, on a graph of milliseconds."""

import pytest
import roofline
from click.testing import CliRunner

from decig.device.measure.limits import Limits
from decig.device.measure.roofline import Roofline, Work
from tests.samples import write_generator

LIMITS = Limits(100.0, 20.0)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_costliest_nodes_and_the_rest():
    nodes = [(f"n{i}", "Conv", 100.0 + i) for i in range(17)]
    found = Roofline.of(LIMITS, nodes, {name: Work(1_000_000, 1000) for name, *_ in nodes})
    lines = [cells(line) for line in roofline.node_table(found)]
    assert len({len(line) for line in lines}) == 1
    assert [line[0] for line in lines[2:]] == [f"`n{i}`" for i in range(16, 1, -1)] + ["2 others"]
    # 1e6 multiply-accumulates are 20 us at the peak.
    assert lines[2][2:] == [
        "0.116", "6.3%", "17.2", "17%", "0.01", "0%", "compute", "0.020", "17%"
    ]  # fmt: skip
    assert sum(float(line[2]) for line in lines[2:]) == pytest.approx(1.836, abs=0.01)


def test_the_command_writes_a_table_for_every_variant(tmp_path, monkeypatch):
    monkeypatch.setattr(roofline, "measure_limits", lambda device: LIMITS)
    model = write_generator(tmp_path / "small.onnx", width=16)
    result = CliRunner().invoke(roofline.main, [str(model), "--results", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "roofline.md").read_text()
    assert "100.0 GFLOP/s, 20.0 GB/s" in text
    for variant in ("as it is", "rewritten", "a quarter of its widths, rewritten"):
        assert f"## small, {variant}" in text
        assert f"| small | {variant} |" in text
    assert text.count("`conv2`") == 3
