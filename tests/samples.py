"""Small files for tests of the commands, and a way to call those."""

import json
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from decig.cli.main import main

PIXELS = ("--input-range", "0,1", "--output-range", "0,1", "--channel-order", "rgb")


def decig(*arguments: Any) -> Result:
    """Call a command in this process; the result has exit_code, stdout and stderr."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def call(*arguments: object) -> dict[str, Any]:
    """Run a command with --json, which must succeed; returns its JSON object."""
    result = decig(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def generator(channels: int = 3, size: int = 24, width: int = 8, seed: int = 0) -> onnx.ModelProto:
    """Return Conv-BatchNorm-Relu, Conv-InstanceNorm-Relu, Conv-Sigmoid."""
    rng = np.random.default_rng(seed)
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, low: float, high: float, *shape: int) -> str:
        array = rng.uniform(low, high, shape).astype(np.float32)
        constants.append(numpy_helper.from_array(array, name))
        return name

    def conv(name: str, source: str, inputs: int, outputs: int) -> str:
        parameters = [
            constant(f"{name}.weight", -0.4, 0.4, outputs, inputs, 3, 3),
            constant(f"{name}.bias", -0.1, 0.1, outputs),
        ]
        nodes.append(
            helper.make_node("Conv", [source, *parameters], [name], name=name, pads=[1, 1, 1, 1])
        )
        return name

    def norm(name: str, source: str, op: str) -> str:
        parameters = [constant(f"{name}.{what}", 0.5, 1.5, width) for what in ("weight", "bias")]
        if op == "BatchNormalization":
            parameters += [constant(f"{name}.{what}", 0.1, 0.9, width) for what in ("mean", "var")]
        nodes.append(helper.make_node(op, [source, *parameters], [name], name=name))
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"], name=f"{name}.relu"))
        return f"{name}.relu"

    first = norm("norm1", conv("conv1", "image", channels, width), "BatchNormalization")
    second = norm("norm2", conv("conv2", first, width, width), "InstanceNormalization")
    last = conv("head", second, width, channels)
    nodes.append(helper.make_node("Sigmoid", [last], ["picture"], name="sigmoid"))
    shape = [1, channels, size, size]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_generator(path: Path, **settings: int) -> Path:
    """Write `generator` to a file."""
    onnx.save(generator(**settings), path)
    return path


def write_broken(path: Path, **settings: int) -> Path:
    """Write `generator` with variances below zero, of which its first norm makes NaN."""
    proto = generator(**settings)
    for tensor in proto.graph.initializer:
        if tensor.name == "norm1.var":
            negative = -1 - numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(negative, tensor.name))
    onnx.save(proto, path)
    return path


def write_flat(path: Path, colour: tuple[float, ...], **settings: int) -> Path:
    """Write `generator` with a head that paints one colour, between 0 and 1, whatever it is fed."""
    proto = generator(**settings)
    for tensor in proto.graph.initializer:
        if tensor.name in ("head.weight", "head.bias"):
            logit = np.float32(np.log(colour) - np.log1p(-np.array(colour)))
            array = logit if tensor.name == "head.bias" else 0 * numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)
    return path


def write_dynamic_generator(path: Path, **settings: int) -> Path:
    """Write `generator` with a dynamic batch, height and width."""
    proto = generator(**settings)
    for value in (*proto.graph.input, *proto.graph.output):
        dims = value.type.tensor_type.shape.dim
        for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
            dims[axis].dim_param = name
    onnx.save(proto, path)
    return path


def write_other_groups(path: Path, table: Path) -> Path:
    """Write a copy of a cost table as of a decig that could not cut the first group."""
    found = json.loads(table.read_text())
    del found["groups"][next(iter(found["groups"]))]
    path.write_text(json.dumps(found))
    return path


def write_photos(folder: Path, count: int = 3, height: int = 30, width: int = 40) -> Path:
    """Write smooth random JPEGs a.jpg, b.jpg, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        noise = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        noise.resize((width, height), Image.Resampling.BICUBIC).save(
            folder / f"{ascii_lowercase[index]}.jpg"
        )
    return folder
