from dataclasses import replace
from pathlib import Path

import pytest

from decig.deploy.export_job import ExportSettings, prepare, with_opset
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.samples import write_generator


def test_what_is_asked_is_checked_before_anything_is_measured(tmp_path: Path) -> None:
    source = resolve(str(write_generator(tmp_path / "m.onnx")), PixelFlags((0, 1), (0, 1)))
    device, output = Device.of(), tmp_path / "out.onnx"
    job = prepare(source, output, device, ExportSettings())
    assert job.plan is None and job.aim is None and job.target_ms is None and not job.warnings
    with pytest.raises(BadInputError, match="--calibration DIR"):
        prepare(source, output, device, ExportSettings("int8"))
    with pytest.raises(BadInputError, match="opset 99"):
        prepare(source, output, device, ExportSettings(opset=99))
    gone = replace(source, images=tmp_path / "gone")
    (warning,) = prepare(gone, output, device, ExportSettings()).warnings
    assert "noise stands in for them" in warning


def test_no_operator_set_leaves_the_graph_as_it_is(tmp_path: Path) -> None:
    proto = resolve(str(write_generator(tmp_path / "m.onnx"))).model.proto
    assert with_opset(proto, None) is proto
    assert with_opset(proto, 21).opset_import[0].version == 21
