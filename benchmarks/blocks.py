"""Half the channels of every generator block, by decig and by Torch-Pruning 1.6.1.

python benchmarks/blocks.py                                (2 minutes, needs '.[train,bench]')

decig gets an ONNX file that PyTorch exported; Torch-Pruning gets the PyTorch module itself, with
its head left out, as its own examples do. The share of multiply-accumulates left is compared with
that of the same net built at half the width. A result counts when it reaches that share (within
5 %) and still computes: decig's is compared with its masked original, trained for a step and
exported again; Torch-Pruning's must run and give a picture of the right size.
"""

import copy
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import onnx
import torch
import torch_pruning
from generator_blocks import BLOCKS, WIDTH, Block, macs, write_onnx
from jobs import BENCHMARKS
from torch import nn

from decig.cli.values import FOLDER
from decig.deploy.verify import TOLERANCE, relative_difference, runner
from decig.files import write_bytes
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import load_model, save_model
from decig.graph.oracle import masked_graph
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.training.trainable.module import build_module, write_back

ENOUGH = 1.05
_LAYERS = nn.modules.conv._ConvNd


@dataclass(frozen=True)
class Result:
    """What a tool made of one block.

    Attributes:
        share: multiply-accumulates left, as a share; None where it failed.
        note: what it says, or how it failed.
        works: whether what is left computes.
    """

    share: float | None
    note: str
    works: bool

    def reaches(self, possible: float) -> bool:
        """Whether it cut what could be cut, and the rest works."""
        return self.works and self.share is not None and self.share <= ENOUGH * possible

    def cell(self, possible: float) -> str:
        """Write it for the table."""
        word = "" if self.reaches(possible) else "**no** "
        shown = "" if self.share is None else f"{self.share:.3f}"
        return f"{word}{shown} {self.note}".strip()


def by_decig(block: Block, folder: Path) -> Result:
    """Export, cut half, compare with the masked original, train a step, export again."""
    try:
        path = folder / "block.onnx"
        write_onnx(block.net(), block.inputs(), path)
        model = load_model(path)
        channels = analyse(model.proto)
        scores = magnitude_scores(model.proto, channels)
        plan = plan_from_widths(channels, uniform_widths(channels, 0.5), scores, model.sha256)
        sliced = slice_graph(model.proto, channels, plan)
        names = [value.name for value in sliced.graph.input]
        inputs = block.inputs(1)
        feeds = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        masked = runner(masked_graph(model.proto, channels, plan))
        difference = relative_difference(masked, runner(sliced), [feeds])
        target = torch.from_numpy(runner(model.proto)(feeds)[0])
        trained, after = one_step(sliced, inputs, target)
        save_model(trained, path)
        again = relative_difference(lambda _: [after.numpy()], runner(onnx.load(path)), [feeds])
    except Exception as error:
        return Result(None, failure(error), works=False)
    exact = all(channels.group(name).exact for name in plan.keep)
    note = f"{difference:.0e}" + ("" if exact else ", statistics of the kept")
    works = max(difference, again) <= TOLERANCE
    return Result(count(sliced).macs / count(model.proto).macs, note, works=works)


def one_step(
    sliced: onnx.ModelProto, inputs: tuple[torch.Tensor, ...], target: torch.Tensor
) -> tuple[onnx.ModelProto, torch.Tensor]:
    """Train one step towards the original's picture; returns the graph and its picture then."""
    module = build_module(sliced).eval()
    optimiser = torch.optim.SGD(module.parameters(), 1e-3)
    loss = torch.nn.functional.mse_loss(module(*inputs)[0], target)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    with torch.no_grad():
        return write_back(module, sliced), module(*inputs)[0]


def by_torch_pruning(block: Block) -> Result:
    """Prune the module to half by group norm, the head left out."""
    net = block.net()
    before, shape = macs(net, block.inputs()), net(*block.inputs()).shape
    student = copy.deepcopy(net)
    try:
        pruner = torch_pruning.pruner.BasePruner(
            student,
            block.inputs(),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            global_pruning=False,
            pruning_ratio=0.5,
            ignored_layers=[student.head],
        )
        pruner.step()
        found = student(*block.inputs()).shape
    except Exception as error:
        return Result(None, failure(error), works=False)
    layers = [m for m in student.get_submodule("block").modules() if isinstance(m, _LAYERS)]
    widths = sorted({layer.out_channels for layer in layers})
    odd = [width for width in widths if width < WIDTH // 4]
    note = f"down to {odd[0]} of {WIDTH} channels" if odd else ""
    return Result(macs(student, block.inputs()) / before, note, works=found == shape and not odd)


def failure(error: Exception) -> str:
    """Say in a few words how a tool failed."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:60]}".replace("|", "/")


@click.command()
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results")
def main(results: Path) -> None:
    """Print and write the table; exit with 1 if decig misses a block."""
    torch.set_num_threads(1)
    lines = [
        "# Half the channels of generator blocks: share of multiply-accumulates left",
        "",
        "| block | possible | decig, difference to the masked original | Torch-Pruning 1.6.1 |",
        "|" + " --- |" * 4,
    ]
    reached = [0, 0]
    with tempfile.TemporaryDirectory() as folder:
        for name, block in BLOCKS.items():
            full = macs(block.net(), block.inputs())
            possible = macs(block.net(WIDTH // 2), block.inputs()) / full
            pair = by_decig(block, Path(folder)), by_torch_pruning(block)
            reached = [n + r.reaches(possible) for n, r in zip(reached, pair, strict=True)]
            cells = " | ".join(result.cell(possible) for result in pair)
            lines.append(f"| {name} | {possible:.3f} | {cells} |")
            print(lines[-1], flush=True)
    lines.append(f"| **reached** | {len(BLOCKS)} | {reached[0]} | {reached[1]} |")
    text = "\n".join([*lines, ""])
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "blocks.md", text.encode())
    print(lines[-1])
    sys.exit(reached[0] < len(BLOCKS))


if __name__ == "__main__":
    main()
