"""What is printed of an export whose figures are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from decig.cli.exported import print_export
from decig.deploy.exported import Exported, Size
from decig.deploy.precision import INT8, Precision, Variant
from decig.device.measure.rewriting import Choice
from decig.device.run.timing import Latency

PROTO = onnx.ModelProto()


def latency(ms: float) -> Latency:
    return Latency(1000 * ms, 0.0, 1000 * ms, 4)


EXPORTED = Exported(
    Choice(PROTO, {"fold_batchnorm": 2}, ["wide_head"], ["winograd"]),
    Precision(
        "auto",
        INT8,
        PROTO,
        latency(2.0),
        (
            Variant("fp16", PROTO, 1.0, 60.0, latency(3.0), "slower than fp32"),
            Variant(INT8, PROTO, 0.99, 36.0, latency(1.0)),
        ),
    ),
    1.234e-6,
    2e-6,
    1.5,
    Size(21, 12_000, 2_100_000, 90_000),
    Size(9, 10_000, 2_000_000, 30_000),
    {"plain": latency(3.0), "exported": latency(1.2)},
    original_ms=12.0,
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "latency:   3.000 ms to 1.200 ms, 2.50 times faster; the original takes 12.000 ms, "
            "10.00 times that; predicted 1.500 ms",
        ),
        ({}, "nodes:     21 to 9, by 2 kinds of rewrite, 1 more would not be faster here"),
        (
            {},
            "size:      0.09 MB to 0.03 MB, 12 k to 10 k parameters, 2.1 M to 2 M "
            "multiply-accumulates",
        ),
        (
            {},
            "precision: fp32 to int8; fp16 slower than fp32 (SSIM 1.0000, PSNR 60.00 dB); int8 "
            "used (SSIM 0.9900, PSNR 36.00 dB)",
        ),
        (
            {},
            "proof:     differs by 1.2e-06 from the graph before and 2.0e-06 from the trained "
            "module, in shares of the output range",
        ),
        (
            {"latency": {}},
            "latency:   not measured, as the device is another one; predicted 1.500 ms",
        ),
        (
            {"latency": {"exported": latency(1.2)}, "predicted_ms": None, "original_ms": None},
            "latency:   1.200 ms",
        ),
        ({"choice": Choice(PROTO, {}, [], [])}, "nodes:     21 to 9"),
        (
            {"from_bytes": {"inside": latency(2.0), "outside": latency(3.0)}},
            "pixels:    2.000 ms from bytes to bytes; 3.000 ms with pre- and postprocessing "
            "outside",
        ),
    ],
)
def test_lines(capsys: pytest.CaptureFixture[str], changes: dict[str, Any], line: str) -> None:
    print_export(Path("out.onnx"), replace(EXPORTED, **changes))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "file:      out.onnx"
    assert line in lines
