"""How long inspect and slice take on a large model, and how time grows with nodes and channels.

python benchmarks/scale.py                                        (3 minutes, needs '.[train]')

The large model is pix2pix's U-Net for 256x256 pictures (54 M parameters, 217 MB), exported by
PyTorch. Commands run as processes of their own, so their start counts; the peak is the resident
memory of the whole process. Growth is measured within one process, on chains of residual blocks.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import torch
from generator_blocks import write_onnx
from jobs import BENCHMARKS, Command
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from decig.cli.values import FOLDER
from decig.files import write_bytes
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

SECONDS, MEGABYTES = 3.0, 1500
"""Limits of a command."""
NODES = (500, 1000, 2500, 5000)
CHANNELS = (64, 128, 256, 512)


class Level(nn.Module):
    """One level of the U-Net: halve, go deeper, double, and pass the input along."""

    def __init__(self, outer: int, inner: int, deeper: nn.Module | None, *, first: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(3 if first else outer, inner, 4, 2, 1, bias=False)
        wide = inner if deeper is None else 2 * inner
        self.up = nn.ConvTranspose2d(wide, 3 if first else outer, 4, 2, 1, bias=first)
        self.deeper, self.first = deeper, first
        norms = (False, True) if deeper is None else (True, True)
        self.down_norm = nn.BatchNorm2d(inner) if norms[0] and not first else nn.Identity()
        self.up_norm = nn.Identity() if first else nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W to N,2C,H,W; the outermost one to N,3,H,W."""
        inner = self.down_norm(self.down(x if self.first else nn.functional.leaky_relu(x, 0.2)))
        if self.deeper is not None:
            inner = self.deeper(inner)
        out = self.up_norm(self.up(nn.functional.relu(inner)))
        return torch.tanh(out) if self.first else torch.cat([x, out], 1)


def unet_256() -> nn.Module:
    """Build the U-Net generator of Isola et al., "Image-to-Image Translation with cGANs" (2017)."""
    net: nn.Module | None = None
    for outer, inner in [(512, 512)] * 4 + [(256, 512), (128, 256), (64, 128)]:
        net = Level(outer, inner, net, first=False)
    return Level(3, 64, net, first=True).eval()


def export_unet(path: Path) -> None:
    """Write the U-Net as ONNX."""
    write_onnx(unet_256(), (torch.zeros(1, 3, 256, 256),), path)


@dataclass(frozen=True)
class Run:
    """What one command took."""

    seconds: float
    megabytes: float


def run(arguments: Sequence[str | Path]) -> Run:
    """Run decig to its end."""
    command = [
        sys.executable,
        "-c",
        "from decig.cli.main import main; main()",
        *map(str, arguments),
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"decig {arguments[0]} failed")
    return Run(time.monotonic() - started, usage.ru_maxrss / 1024)


def chain(nodes: int, channels: int) -> onnx.ModelProto:
    """Residual blocks one after the other: Conv, Relu, Conv, Add."""
    random = np.random.default_rng(0)
    made = list[onnx.NodeProto]()
    weights = list[onnx.TensorProto]()
    last = "image"

    def add(kind: str, *inputs: str, **more: Any) -> str:
        name = f"{kind}_{len(made)}"
        made.append(helper.make_node(kind, inputs, [name], name=name, **more))
        return name

    def conv(source: str, inputs: int, outputs: int) -> str:
        name = f"w{len(weights)}"
        array = random.standard_normal((outputs, inputs, 1, 1), np.float32)
        weights.append(numpy_helper.from_array(array, name))
        return add("Conv", source, name)

    last = conv(last, 3, channels)
    while len(made) < nodes - 1:
        last = add(
            "Add", last, conv(add("Relu", conv(last, channels, channels)), channels, channels)
        )
    last = conv(last, channels, 3)
    shape = [1, 3, 8, 8]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("image", last)]
    graph = helper.make_graph(made, "chain", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def steps(path: Path) -> dict[str, float]:
    """Seconds of loading, analysing and slicing a model."""
    marks = [time.monotonic()]

    def lap() -> float:
        marks.append(time.monotonic())
        return marks[-1] - marks[-2]

    model = load_model(path)
    found = {"load": lap()}
    channels = analyse(model.proto)
    found["analyse"] = lap()
    widths, scores = uniform_widths(channels, 0.5), magnitude_scores(model.proto, channels)
    slice_graph(model.proto, channels, plan_from_widths(channels, widths, scores, model.sha256))
    return found | {"slice": lap()}


def growth(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Load, analyse and slice chains of so many nodes and channels; one line of a table each."""
    lines = []
    for nodes, channels in sizes:
        path = folder / "chain.onnx"
        onnx.save(chain(nodes, channels), path)
        found = steps(path)
        cells = " | ".join(f"{s:.2f}" for s in (*found.values(), sum(found.values())))
        lines.append(f"| {nodes} | {channels} | {cells} |")
    return lines


@click.command()
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results")
def main(results: Path) -> None:
    """Print and write the tables; exit with 1 if a limit is missed."""
    rows = []
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In a process of its own: the peak of a command would count what this one holds.
        export = "import sys, pathlib, scale; scale.export_unet(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-c", export, str(folder / "unet.onnx")]
        subprocess.run(command, cwd=BENCHMARKS, check=True, stdout=subprocess.DEVNULL)
        size = (folder / "unet.onnx").stat().st_size
        commands: dict[str, Command] = {
            "inspect": ["inspect", folder / "unet.onnx", "--json"],
            "slice": ["slice", folder / "unet.onnx", "--keep", "0.5", "-o", folder / "half.onnx"],
        }
        for name, arguments in commands.items():
            best = min((run(arguments) for _ in range(3)), key=lambda found: found.seconds)
            kept = best.seconds <= SECONDS and best.megabytes <= MEGABYTES
            missed |= not kept
            word = "yes" if kept else "NO"
            rows.append(f"| {name} | {best.seconds:.2f} | {best.megabytes:.0f} | {word} |")
        nodes = growth(folder, [(count, 16) for count in NODES])
        channels = growth(folder, [(200, width) for width in CHANNELS])
    head = "| nodes | channels | load, s | analyse, s | slice, s | together, s |"
    lines = [
        f"# Scale: U-Net-256, {size / 1e6:.0f} MB",
        "",
        f"Best of 3; the limits are {SECONDS:.0f} s and {MEGABYTES} MB.",
        "",
        "| command | seconds | peak MB | kept |",
        "|" + " --- |" * 4,
        *rows,
        "",
        "## Growth",
        "",
        "Chains of residual blocks; weights grow with the square of the channels.",
        "",
        head,
        "|" + " --- |" * 6,
        *nodes,
        *channels,
        "",
    ]
    text = "\n".join(lines)
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "scale.md", text.encode())
    print(text)
    sys.exit(missed)


if __name__ == "__main__":
    main()
