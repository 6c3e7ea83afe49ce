"""Operators in every layout and rank: each cell of docs/operators.md against ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from decig.data.pixels import PixelFormat
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.training.compression.student import mean_of, student_task
from decig.training.loop.engine import Engine
from decig.training.loop.schedule import Budget
from decig.training.trainable.module import write_back
from tests.graph.tiny import worst_difference
from tests.training.layout_cells import LAYOUTS, RANKS
from tests.training.layout_table import NOT_RUN, REFUSED, ROWS, TRAINS, outcome
from tests.training.onnx_cases import assert_close, parsed, run_ort
from tests.training.small import small

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operators.md"

CELLS = [f"rank {rank}, C {layout}" for rank in RANKS for layout in LAYOUTS]


@pytest.fixture(scope="module")
def documented() -> dict[str, list[str]]:
    """Cells of the table in the documentation, by operator."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["operator", *CELLS]
    return {row[0]: row[1:] for row in rows[1:]}


def test_every_row_is_documented(documented: dict[str, list[str]]) -> None:
    assert list(documented) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_cells_are_what_the_table_says(name: str, documented: dict[str, list[str]]) -> None:
    found = [outcome(name, rank, layout) for rank in RANKS for layout in LAYOUTS]
    assert [kind for kind, _ in found] == documented[name]
    for kind, reason in found:
        if kind == REFUSED:
            assert reason.startswith("node ") and "\n" not in reason


def test_what_onnx_runtime_runs_trains() -> None:
    """Apart from convolutions of four spatial axes, which PyTorch has no function for."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")][1:]
    refused = {line.split("|")[1].strip() for line in lines if f"| {REFUSED} |" in line}
    assert refused == {"Conv", "Conv, depthwise", "ConvTranspose"}
    cells = [cell.strip() for line in lines for cell in line.strip("|").split("|")[1:]]
    assert all(f"| {TRAINS} |" in line for line in lines), "no row is there in vain"
    assert set(cells) == {TRAINS, REFUSED, NOT_RUN}


def channels_last_generator(size: int = 48, width: int = 16) -> onnx.ModelProto:
    """A generator as tf2onnx writes it: padded and resized with channels last, in front of the
    first Transpose, between convolutions, and behind the last Transpose."""
    random = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32)

    text = """
        a = Pad <mode = "reflect"> (x, border)
        b = Transpose <perm = [0, 3, 1, 2]> (a)
        c = Conv <strides = [2, 2]> (b, w1)
        d = Transpose <perm = [0, 2, 3, 1]> (c)
        e = LeakyRelu <alpha = 0.2> (d)
        f = Pad <mode = "edge"> (e, border)
        g = Transpose <perm = [0, 3, 1, 2]> (f)
        h = Conv (g, w2)
        i = InstanceNormalization (h, ones, zeros)
        j = Transpose <perm = [0, 2, 3, 1]> (i)
        k = Add (j, e)
        l = Resize <mode = "linear"> (k, , , doubled)
        m = Pad <mode = "wrap"> (l, border)
        n = Transpose <perm = [0, 3, 1, 2]> (m)
        o = Conv (n, w3)
        p = Transpose <perm = [0, 2, 3, 1]> (o)
        q = Add (p, bias)
        y = Tanh (q)
    """
    return parsed(
        text,
        (1, size, size, 3),
        border=np.array([0, 1, 1, 0, 0, 1, 1, 0]),
        doubled=np.array([1, size, size, width]),
        w1=weight(width, 3, 3, 3),
        w2=weight(width, width, 3, 3),
        w3=weight(3, width, 3, 3),
        ones=np.ones(width, np.float32),
        zeros=np.zeros(width, np.float32),
        bias=np.full(3, 0.1, np.float32),
    )


def test_a_graph_with_channels_last_is_cut_and_trained(tmp_path: Path) -> None:
    pixels = PixelFormat((-1.0, 1.0), (-1.0, 1.0), "nhwc")
    job = small(tmp_path, channels_last_generator(), pixels=pixels).job()
    proto, channels = job.teacher.model.proto, job.teacher.channels
    keep = {group.name: list(range(group.channels // 2)) for group in channels.prunable}
    assert sum(map(len, keep.values())) == 8
    plan = Plan("", keep)
    assert worst_difference(proto, channels, plan) < 1e-5
    sliced = slice_graph(proto, channels, plan)
    task = student_task(job, sliced, rate=1.0, with_extras=False)
    before = {name: value.clone() for name, value in task.student.named_parameters()}
    engine = Engine(task, Budget(steps=3), job.processes)
    engine.run()
    trained = mean_of(engine)
    assert all(not value.equal(before[name]) for name, value in trained.named_parameters())
    x = np.random.default_rng(1).uniform(-1, 1, (1, 48, 48, 3)).astype(np.float32)
    with torch.no_grad():
        found = trained.eval()(torch.from_numpy(x))[0].numpy()
    assert_close(found, run_ort(write_back(trained, sliced), x)[0])
