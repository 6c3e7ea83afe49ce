"""Run folders as `decig compress` leaves them, without having trained anything."""

import json
from pathlib import Path

import onnx

from decig.device.run.device import Device
from tests.samples import generator, write_photos

PIXELS = {
    "input_range": [0, 1],
    "output_range": [0, 1],
    "layout": "nchw",
    "channel_order": "rgb",
}


def write_run(folder: Path, photos: Path) -> Path:
    """Write a finished run and its images; its record does not say for which device it is."""
    folder.mkdir()
    onnx.save(generator(width=6), folder / "student.onnx")
    plan = {"schema_version": 1, "model_sha256": "0", "keep": {"conv1": [0, 2, 3]}}
    record = {
        "model": {"path": "teacher.onnx", "sha256": "0"},
        "pixels": PIXELS,
        "images": str(write_photos(photos)),
    }
    for name, content in (
        ("run.json", record),
        ("plan.json", plan),
        ("report.json", {"predicted_latency_ms": 1.5, "rewrites": ["wide_head"]}),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


def plan_for(run: Path, **entries: object) -> dict[str, object]:
    """Say that a run was planned for this device, but for these entries of its description."""
    record = json.loads((run / "run.json").read_text())
    device = Device.of().fingerprint().to_dict() | entries
    (run / "run.json").write_text(json.dumps(record | {"device": device}))
    return device
