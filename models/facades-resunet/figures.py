"""Print the table of README.md for generator.onnx: figures.py FACADES_FOLDER.

The last column is what the photos themselves give.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

from decig.data.layouts import Split
from decig.data.pairs import Pairs
from decig.graph.cost import count
from decig.graph.model import load_model
from decig.quality import metrics
from decig.source.recipe import load_recipe


def main(facades: Path) -> None:
    """Compare what the net paints for the validation label maps with the real photos."""
    recipe = load_recipe(Path(__file__).parent)
    pairs = list(Pairs(Split(*[facades / "val"] * 2), "BtoA", recipe.pixels.labels))
    session = ort.InferenceSession(recipe.onnx, providers=["CPUExecutionProvider"])
    tensors = recipe.pixels.to_tensor(np.stack([pair.input for pair in pairs]))
    outputs = np.concatenate([session.run(None, {"input": one[None]})[0] for one in tensors])
    painted = recipe.pixels.to_unit(outputs)
    real = np.stack([pair.target for pair in pairs]).astype(np.float32) / 255
    cost = count(load_model(recipe.onnx).proto)
    lines = (
        f"| parameters | {cost.params / 1e6:.2f} M | |",
        f"| MACs | {cost.macs / 1e9:.2f} G | |",
        f"| mean absolute difference to the photos | {np.abs(painted - real).mean():.3f} | 0 |",
        f"| SSIM to the photos | {metrics.ssim(painted, real):.3f} | 1 |",
        f"| colour (mean of max - min over RGB) | {metrics.colour(painted):.3f} "
        f"| {metrics.colour(real):.3f} |",
        f"| pixel grid | {metrics.pixel_grid(painted):.4f} | {metrics.pixel_grid(real):.4f} |",
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
