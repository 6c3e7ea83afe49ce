"""Styles from bare files: what is known of their pixels, and all of it in miniature."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import style
from click.testing import CliRunner
from onnx import helper
from options import pixel_flags

from decig.graph.model import save_model
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.stamp import pixels_entry, stamp
from tests.benchmarks.small import SIDE, table_of, write_settings
from tests.samples import generator, write_generator, write_photos


def write_nhwc(path: Path) -> Path:
    """Write a generator that takes and gives NHWC, as those of TensorFlow do."""
    proto = generator(size=SIDE)
    graph = proto.graph
    for value, end in ((graph.input[0], True), (graph.output[0], False)):
        name, inside = value.name, f"{value.name}.nchw"
        for node in graph.node:
            names = node.input if end else node.output
            for place, each in enumerate(names):
                if each == name:
                    names[place] = inside
        order = [0, 3, 1, 2] if end else [0, 2, 3, 1]
        sides = (name, inside) if end else (inside, name)
        node = helper.make_node("Transpose", [sides[0]], [sides[1]], perm=order, name=f"{name}.t")
        graph.node.insert(0 if end else len(graph.node), node)
        shape = value.type.tensor_type.shape.dim
        for axis, size in zip(shape, (1, SIDE, SIDE, 3), strict=True):
            axis.dim_value = size
    onnx.checker.check_model(proto)
    save_model(proto, path)
    return path


def test_bytes_are_taken_for_granted_where_nothing_else_is_said(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "small.onnx", size=SIDE)
    flags = pixel_flags(model, PixelFlags(output_range=(-1, 1)))
    pixels = resolve(str(model), flags).require_pixels()
    assert (pixels.input_range, pixels.output_range) == ((0, 255), (-1, 1))
    assert (pixels.layout, pixels.channel_order) == ("nchw", "rgb")


def test_what_a_file_says_of_its_pixels_stands(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "small.onnx", size=SIDE)
    flags = PixelFlags((-1, 1), (-1, 1), channel_order="bgr")
    proto = onnx.load(model)
    stamp(proto, {"pixels": pixels_entry(resolve(str(model), flags).require_pixels())})
    save_model(proto, model)
    pixels = resolve(str(model), pixel_flags(model, PixelFlags())).require_pixels()
    assert (pixels.input_range, pixels.channel_order) == ((-1, 1), "bgr")


def test_several_models_need_their_own_tables(tmp_path: Path) -> None:
    given = [f"--model={write_generator(tmp_path / f'{name}.onnx')}" for name in "ab"]
    table = tmp_path / "table.json"
    table.write_text("{}")
    given += ["--data", str(tmp_path), "--profile", str(table), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(style.main, given)
    assert result.exit_code == 2 and "one --model" in result.output


@pytest.mark.slow
def test_in_miniature_with_nhwc(tmp_path: Path) -> None:
    model = write_nhwc(tmp_path / "cartoon.onnx")
    for split in ("train", "val"):
        write_photos(tmp_path / "photos" / split, 5, 40, 40)
    given = ["--model", model, "--data", tmp_path / "photos", "--targets", 1.5, "--steps", 3]
    given += ["--input-range", "0,1", "--output-range", "0,1", "--timing-seconds", 0.1]
    given += ["--config", write_settings(tmp_path), "--profile", table_of(model, tmp_path)]
    given += ["--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(style.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "results" / "style.json").read_text())["cartoon"]
    assert [each["method"] for each in rows] == ["teacher", "decig"]
    assert np.isfinite(rows[1]["similarity"]["ssim"])
    assert (tmp_path / "results" / "style_cartoon.jpg").exists()
