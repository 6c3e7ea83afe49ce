"""A run folder as `decig compress` leaves it, made without training anything."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from decig import records
from decig.device.cost.table import CostTable, NodeCost, Noise, ProfiledModel, SweepPoint
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.graph.channels import Port
from decig.graph.plan import Plan
from decig.records import Group, Nodes, Picture, Pictures, Point, Scores, Search, Session, Trial

HOSTILE = "a<script>alert(1)</script>\"'&"
"""Name of a picture that would run as a script where it is not escaped."""
GROUPS = {"c1": 8, "c2": 16}
COSTS = {"conv1": 3000.0, "conv2": 5000.0, "head": 2000.0}
AFTER = {"conv1": 1000.0, "conv2": 900.0, "head": 600.0}
COMMAND = ["model dir/m.onnx", "--data", "photos", "--target-speedup", "4", "--output-dir", "run"]

RECORD = f"""
[recorded]
command = "compress"
arguments = {json.dumps(COMMAND)}
folder = "/home/a b"
"""
"""What run.toml says of it."""


def table() -> CostTable:
    """Conv of 8 channels, Conv of 16, Conv of 3 that reads both."""
    ports = {
        "conv1": (Port({}, 3), Port({"c1": 8}, 0)),
        "conv2": (Port({"c1": 8}, 0), Port({"c2": 16}, 0)),
        "head": (Port({"c1": 8, "c2": 16}, 0), Port({}, 3)),
    }
    total = sum(COSTS.values())
    latency = Latency(total, 50.0, total * 1.1, 20)
    return CostTable(
        device=replace(Device.for_work().fingerprint(), threads=1),
        model=ProfiledModel("ab" * 32, "m.onnx", None, ("wide_head",), Latency(16e3, 90, 17e3, 20)),
        latency_us=latency,
        kernel_sum_over_latency=1.0,
        noise=Noise(1.0, 0.0),
        groups=GROUPS,
        nodes=tuple(
            NodeCost(name, "Conv", us, us / total, name, ports=ports[name])
            for name, us in COSTS.items()
        ),
        sweep=(SweepPoint(GROUPS, latency, COSTS),),
    )


def figures() -> dict[str, Any]:
    """What report.json holds."""
    return {
        "schema_version": 1,
        "original_latency_ms": 16.0,
        "original_latency_us": Latency(16e3, 90.0, 17e3, 20).to_dict(),
        "measured_latency_ms": 3.9,
        "measured_latency_us": Latency(3900.0, 30.0, 4100.0, 20).to_dict(),
        "predicted_latency_ms": 3.95,
        "ssim": 0.91,
        "psnr_db": 28.5,
        "ssim_before_distilling": 0.8,
        "psnr_db_before_distilling": 22.5,
        "held_out_images": 3,
        "steps": 60,
        "training_seconds": 75.2,
        "ended_early": None,
        "rewrites": ["wide_head"],
        "warnings": [],
        "macs": {"before": 8_000_000, "after": 1_600_000},
        "params": {"before": 40_000, "after": 9_000},
        "file_bytes": 37_000,
    }


def write_run(folder: Path, *, pictures: int = 3, size: int = 48, **changes: Any) -> Path:
    """Write a finished run; `changes` replace figures of report.json."""
    folder.mkdir(parents=True)
    run = {
        "schema_version": 1,
        "model": {"path": str(folder.parent), "sha256": "ab" * 32},
        "images": str(folder.parent),
        "device": table().device.to_dict(),
        "target_ms": 4.0,
        "method": "decig",
        "settings": {"train": {"seed": 0}},
        "budget": {"seconds": None, "steps": 60},
    }
    _write(folder / "run.json", run)
    _write(folder / "report.json", figures() | changes)
    (folder / "run.toml").write_text(RECORD, encoding="utf-8")
    table().save(folder / "profile.json")
    Plan("ab" * 32, {"c1": [0, 1, 2, 3], "c2": [1, 5, 7]}).save(folder / "plan.json")
    (folder / "student.onnx").write_bytes(b"not read")
    write_records(folder)
    write_pictures(folder, pictures, size)
    return folder


def write_records(folder: Path) -> None:
    """Write what training leaves for the report, but for the pictures."""
    groups = [
        Group(name=n, channels=w, loss=[float(4 * (w - k) ** 2) for k in range(w + 1)], hinge=3)
        for n, w in GROUPS.items()
    ]
    records.save(folder, records.GROUPS_FILE, Scores(graph="original", groups=groups))
    trials = [
        Trial(widths={"c1": 5, "c2": 4}, loss=0.2, predicted_ms=4.0, doubt=0.03,
              measured_ms=[4.4], fits=False),
        Trial(widths={"c1": 4, "c2": 3}, loss=0.3, predicted_ms=3.8, doubt=0.02,
              measured_ms=[3.9, 3.95], chosen=True),
    ]  # fmt: skip
    records.add(folder, records.PLANNING_FILE, Search, [Search(target_ms=4.0, trials=trials)])
    for place in range(30):
        told = {"loss": 1 / (1 + place), "ssim": 0.8 + 0.003 * place}
        point = Point(step="distil", at=place / 30, seconds=float(place), figures=told)
        records.add_point(folder, point)
    records.save(folder, records.NODES_FILE, Nodes(measured=True, before=COSTS, after=AFTER))
    session = Session(began="2026-01-01T00:00:00+00:00", machine="box", versions={"torch": "2.9"})
    records.add(folder, records.SESSIONS_FILE, Session, [session])


def write_pictures(folder: Path, count: int, size: int) -> None:
    """Write pictures of noise, the first one under a hostile name."""
    (folder / records.PICTURES_FOLDER).mkdir()
    rng, found = np.random.default_rng(0), []
    for number in range(count):
        files = {}
        for kind in ("input", "original", "compressed"):
            files[kind] = f"{records.PICTURES_FOLDER}/{number:02}-{kind}.webp"
            noise = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
            noise.save(folder / files[kind], lossless=True)
        name = f"p{number}" if number else HOSTILE
        found.append(Picture(name=name, ssim=0.85 + 0.03 * number, psnr_db=27.0, files=files))
    record = Pictures(folder="photos", height=size, width=size, pictures=found)
    records.save(folder, records.PICTURES_FILE, record)


def write_several(folder: Path, *, macs: bool = False) -> Path:
    """Write a call with two targets that are done and one that has only begun.

    Args:
        folder: of the call.
        macs: whether multiply-accumulates were asked for, and no device.
    """
    folder.mkdir(parents=True)
    _write(folder / "targets.json", {"targets_ms": {"2x": 8.0, "4x": 4.0, "8x": 2.0}})
    for name in ("2x", "4x", "8x"):
        write_run(folder / name, pictures=1)
    for name in ("report.json", "student.onnx"):
        (folder / "8x" / name).unlink()
    members = [
        records.Member(target="2x", target_latency_ms=8.0, measured_latency_ms=7.9,
                       predicted_latency_ms=8.0, ssim=0.97, psnr_db=33.0, params=20_000),
        records.Member(target="4x", target_latency_ms=4.0, predicted_latency_ms=3.9, ssim=0.91),
    ]  # fmt: skip
    if macs:
        _count(folder)
        members = [records.Member(target="2x", target_macs=4_000_000, macs=1_600_000, ssim=0.97)]
    frontier = records.Frontier(targets=members, notes=["2x is hardly better than 4x"])
    _write(folder / records.FRONTIER_FILE, msgspec.to_builtins(frontier))
    return folder


def _count(folder: Path) -> None:
    """Make the runs of several targets such for no device."""
    for file in folder.glob("*/run.json"):
        run = json.loads(file.read_text(encoding="utf-8"))
        del run["device"], run["target_ms"]
        _write(file, run | {"target_macs": 4_000_000})
        (file.parent / "profile.json").unlink()


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")
