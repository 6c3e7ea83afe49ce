"""What `decig export` says when it is done: what became of the model; --json has the details."""

from collections.abc import Mapping
from pathlib import Path

from decig.cli.summary import amount, print_lines
from decig.deploy.exported import Exported
from decig.deploy.precision import FP32

_MB = 1e6


def print_export(output: Path, exported: Exported) -> None:
    """Show what an export did and found, one line for each thing that changed.

    Args:
        output: the file.
        exported: what it did and found.
    """
    before, after = exported.before, exported.after
    lines = {
        "file": str(output),
        "latency": _latency(exported),
        "nodes": f"{before.nodes} to {after.nodes}{_rewrites(exported)}",
        "size": (
            f"{before.file_bytes / _MB:.2f} MB to {after.file_bytes / _MB:.2f} MB, "
            f"{amount(before.params)} to {amount(after.params)} parameters, {amount(before.macs)} "
            f"to {amount(after.macs)} multiply-accumulates"
        ),
        "precision": _precision(exported),
        "proof": _proof(exported),
    }
    if exported.from_bytes is not None:
        ms = {name: latency.median_ms for name, latency in exported.from_bytes.items()}
        lines["pixels"] = (
            f"{ms['inside']:.3f} ms from bytes to bytes; {ms['outside']:.3f} ms with pre- and "
            "postprocessing outside"
        )
    print_lines(lines)


def _latency(exported: Exported) -> str:
    """How long the file takes, beside the model before and what was predicted."""
    ms = {name: latency.median_ms for name, latency in exported.latency.items()}
    predicted, original = exported.predicted_ms, exported.original_ms
    told = [] if predicted is None else [f"predicted {predicted:.3f} ms"]
    if not ms:
        return "; ".join(["not measured, as the device is another one", *told])
    found = ms["exported"]
    text = f"{found:.3f} ms"
    if "plain" in ms:
        text = f"{ms['plain']:.3f} ms to {text}, {ms['plain'] / found:.2f} times faster"
    if original is not None:
        told.insert(0, f"the original takes {original:.3f} ms, {original / found:.2f} times that")
    return "; ".join([text, *told])


def _rewrites(exported: Exported) -> str:
    """How many rewrites made the difference."""
    choice = exported.choice
    used, tried = len(choice.canonical) + len(choice.kept), len(choice.dropped)
    if not used and not tried:
        return ""
    dropped = f", {tried} more would not be faster here" if tried else ""
    return f", by {used} kind{'' if used == 1 else 's'} of rewrite{dropped}"


def _precision(exported: Exported) -> str:
    """The precision of the file, and what became of the others."""
    found = exported.precision
    told = [
        f"{each.name} {each.dropped or 'used'} (SSIM {each.ssim:.4f}, PSNR {each.psnr_db:.2f} dB)"
        for each in found.variants
    ]
    told += [f"{name} not tried: {why}" for name, why in found.refused.items()]
    asked = FP32 if found.used == FP32 else f"{FP32} to {found.used}"
    return "; ".join([asked, *told])


def _proof(exported: Exported) -> str:
    """How far the rewritten graph is from what it was made from."""
    differences: Mapping[str, float | None] = {
        "the graph before": exported.difference,
        "the trained module": exported.torch_difference,
    }
    told = [f"{far:.1e} from {what}" for what, far in differences.items() if far is not None]
    return f"differs by {' and '.join(told)}, in shares of the output range"
