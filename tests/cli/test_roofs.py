from rich.console import Console

from decig.cli.roofs import COLUMNS, cells, node_table, summary
from decig.device.measure.limits import Limits
from decig.device.measure.roofline import Roofline, Work

LIMITS = Limits(100.0, 20.0)
WORKS = {"conv": Work(5_000_000, 400_000), "relu": Work(0, 2_000_000)}
FOUND = Roofline.of(LIMITS, [("conv", "Conv", 400.0), ("relu", "Relu", 125.0)], WORKS)


def test_cells():
    conv, relu = FOUND.nodes
    assert cells(conv) == ["25.0", "1.00", "25 %", "compute"]
    assert cells(relu) == ["-", "16.00", "80 %", "memory"]
    assert cells(None) == ["-"] * len(COLUMNS)


def test_the_costliest_nodes_come_first():
    console = Console(width=100)
    with console.capture() as shown:
        console.print(node_table(FOUND, 1, {"conv": "layer1"}))
    text = shown.get()
    assert "GFLOP/s" in text
    assert "layer1" in text  # as `decig inspect` calls it
    assert "conv" not in text
    assert "0.400" in text
    assert "relu" not in text


def test_one_line_of_the_whole():
    line = summary(FOUND.to_dict(), LIMITS.to_dict())
    assert "19.05 of 100 GFLOP/s and 4.571 of 20 GB/s: 38 % of what" in line
