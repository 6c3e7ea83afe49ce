"""What `decig compress` says when it is done."""

from dataclasses import replace
from pathlib import Path

import pytest

from decig.cli.summary import print_compression
from decig.device.measure.limits import Limits
from decig.device.measure.roofline import Roofline, Work, compare
from decig.device.run.device import Device

FIGURES = {
    "predicted_latency_ms": 3.9,
    "target_latency_ms": 4.0,
    "original_latency_ms": 16.0,
    "measured_latency_ms": 4.2,
    "ssim": 0.95,
    "psnr_db": 30.0,
    "ssim_before_distilling": 0.8,
    "psnr_db_before_distilling": 22.0,
    "held_out_images": 8,
    "steps": 1200,
    "training_seconds": 125.0,
    "ended_early": "nothing improved over 25% of the budget",
    "method": "decig",
    "rewrites": ["wide_head"],
    "widths": {"conv1": 8},
}


def shown(capsys: pytest.CaptureFixture[str], folder: str = "runs/a b", **changes: object) -> str:
    device = changes.pop("device", Device.of().fingerprint())
    print_compression(Path(folder), device, FIGURES | changes)
    return capsys.readouterr().out


def test_it_says_what_was_asked_and_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys).splitlines() == [
        "asked:     4.000 ms, 4.00 times faster than 16.000 ms",
        "predicted: 3.900 ms, by the cost table alone",
        "measured:  4.200 ms once exported, 3.81 times faster, 5.0% over the target",
        "pictures:  SSIM 0.8000, PSNR 22.00 dB before training; SSIM 0.9500, PSNR 30.00 dB after "
        "it (compared with the original's, 8 of them, held out of training)",
        "training:  1,200 steps in 2 min 5 s; ended early: nothing improved over 25% of the budget",
        "method:    decig",
        "figures:   runs/a b/report.json",
        "next:      decig export 'runs/a b' -o 'a b.onnx'",
    ]


def test_it_says_so_where_nothing_was_asked_or_measured(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, target_latency_ms=None, measured_latency_ms=None, ended_early=None)
    assert "asked:     no latency (the original takes 16.000 ms)\n" in text
    assert "measured:  not here: the cost table belongs to another device\n" in text
    assert "1,200 steps in 2 min 5 s\n" in text
    assert "over the target" not in shown(capsys, measured_latency_ms=4.0)


def test_folding_and_warnings_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(
        capsys,
        norms_folded={"n1": 0.9, "n2": 0.9},
        norms_put_back={"n3": 0.5},
        latency_ms={"with_norms": 4.5, "folded": 4.2},
        folding_steps=100,
        folding_seconds=10.0,
        warnings=["the machine was busy"],
    )
    assert "norms:     2 folded, 1 put back; 4.500 ms with all of them, 4.200 ms now\n" in text
    assert "1,300 steps in 2 min 15 s" in text
    assert "warning:   the machine was busy\n" in text


def test_it_says_how_far_the_device_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    work = {"conv": Work(5_000_000, 400_000)}
    found = Roofline.of(Limits(100.0, 20.0), [("conv", "Conv", 400.0)], work)
    assert "reaches:   25 of 100 GFLOP/s" in shown(capsys, roofline=compare(found, found))


def test_the_next_command_measures_where_the_table_was_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    device = replace(Device.of().fingerprint(), threads=4)
    assert "-o run.onnx --threads 4\n" in shown(capsys, "run/", device=device)
    device = replace(
        device,
        provider="CUDAExecutionProvider",
        provider_options={"device_id": "0", "enable_cuda_graph": "1"},
        threads=1,
    )
    text = shown(capsys, "run", device=device)
    assert "--ep cuda --ep-option enable_cuda_graph=1\n" in text
