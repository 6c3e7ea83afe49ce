"""Cut an ONNX file by onnxsim's structured pruning.

python -m competitors.cutting MODEL.onnx --sparsity 0.5 --output-dir DIR

onnxsim removes the output channels of least L2 norm, the same share everywhere, where it is sure
of the one layer that reads them, or of the sum that joins them.
"""

from collections.abc import Mapping
from pathlib import Path

import click
import onnx

from competitors import GENEROSITY
from competitors.matching import session_call
from decig.cli.values import EXISTING_FILE, FOLDER
from decig.device.run.timing import Timing, measure_interleaved
from decig.errors import BadInputError, first_line
from decig.files import write_bytes, write_json
from decig.graph.model import initializers

SPARSITIES = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Shares of the channels that are tried."""


def cut(model: Path, sparsity: float) -> onnx.ModelProto:
    """Return a graph without this share of the channels that onnxsim can remove.

    Raises:
        BadInputError: onnxsim cannot do it, or finds nothing to remove.
    """
    # Not needed for anything else, and half a second to import.
    import onnxsim

    proto = onnx.load(model)
    try:
        found: onnx.ModelProto = onnxsim.apply_structured_pruning(proto, sparsity)
    except Exception as error:  # it names no base class of its errors
        raise BadInputError(f"{model}: onnxsim cannot prune it: {first_line(error)}") from error
    if _numbers(found) >= _numbers(proto):
        raise BadInputError(f"{model}: onnxsim finds no channel to remove")
    # Shapes of inner values are still those of the whole graph.
    del found.graph.value_info[:]
    onnx.checker.check_model(found)
    return found


def _numbers(proto: onnx.ModelProto) -> int:
    return sum(array.size for array in initializers(proto).values())


def match_all(
    model: Path, results: Mapping[str, Path], max_seconds: float = 90.0
) -> dict[str, tuple[float, float]]:
    """Find the least share of channels whose removal makes the model as fast as decig's results.

    All shares that onnxsim can remove, and all results, take turns. Where no share makes it that
    fast, the fastest counts.

    Args:
        model: the ONNX file that is cut.
        results: of decig's, by target.
        max_seconds: of the timing.

    Returns:
        By target: the share, and the latency over that of decig's result.

    Raises:
        BadInputError: onnxsim can remove no share.
    """
    cuts = _cuts(model)
    calls = {f"own {label}": session_call(file) for label, file in results.items()}
    calls |= {f"{share}": session_call(graph) for share, graph in cuts.items()}
    found = measure_interleaved(calls, Timing(min_runs=10, max_seconds=max_seconds, firm=0.003))
    matches = {}
    for label in results:
        own = found[f"own {label}"].median
        ratios = {share: found[f"{share}"].median / own for share in cuts}
        fitting = [share for share, ratio in ratios.items() if ratio <= GENEROSITY]
        chosen = min(fitting) if fitting else min(ratios, key=lambda share: ratios[share])
        matches[label] = chosen, ratios[chosen]
    return matches


def _cuts(model: Path) -> dict[float, onnx.ModelProto]:
    """What onnxsim makes of a model, by the share of the channels; errors as for `match_all`."""
    found, reason = {}, None
    for share in SPARSITIES:
        try:
            found[share] = cut(model, share)
        except BadInputError as error:
            reason = error
    if reason is not None and not found:
        raise reason
    return found


@click.command()
@click.argument("model", type=EXISTING_FILE)
@click.option("--sparsity", type=click.FloatRange(0, 1, min_open=True, max_open=True))
@click.option("--output-dir", type=FOLDER, required=True)
def main(model: Path, sparsity: float, output_dir: Path) -> None:
    """Cut a model and leave student.onnx and report.json."""
    output_dir.mkdir(parents=True, exist_ok=True)
    write_bytes(output_dir / "student.onnx", cut(model, sparsity).SerializeToString())
    report = {"steps": 0, "training_seconds": 0.0, "sparsity": sparsity}
    write_json(output_dir / "report.json", report)


if __name__ == "__main__":
    main()
