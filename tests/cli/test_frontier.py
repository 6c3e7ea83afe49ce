"""The table of several targets shows what there is to show."""

from pathlib import Path

import pytest

from decig.cli.frontier import print_frontier
from decig.training.compression import frontier


def report(*, macs: int | None, latency_ms: float | None) -> dict[str, object]:
    """What one target reached, of a device or of none."""
    return {
        "method": "decig",
        "original_latency_ms": latency_ms and 4 * latency_ms,
        "target_latency_ms": latency_ms,
        "target_macs": macs,
        "predicted_latency_ms": latency_ms,
        "predicted_macs": macs,
        "measured_latency_ms": latency_ms,
        "ssim": 0.9,
        "psnr_db": 30.0,
        "macs": {"before": 8_000_000, "after": 2_000_000},
        "params": {"before": 4000, "after": 1000},
        "file_bytes": 5000,
    }


@pytest.mark.parametrize(
    ("figures", "titles"),
    [
        (report(macs=None, latency_ms=5.0), "asked predicted measured times SSIM PSNR"),
        (report(macs=2_000_000, latency_ms=None), "asked SSIM PSNR"),
    ],
)
def test_a_column_without_figures_is_left_out(
    figures: dict[str, object], titles: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_frontier(tmp_path, None, frontier.of({"4x": figures}))
    head, original, row, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["target", *titles.split(), "MACs", "params", "MB"]
    assert original.split()[0] == "original" and "8 M" in original
    assert row.split()[0] == "4x" and "2 M" in row
