"""Layers as generators have them, one for each exact rewrite."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from decig.graph.model import normalise

ENLARGING = (
    "split_resized_concat",
    "resize_into_transpose",
    "phase_transpose",
    "depth_to_space",
)
HEADS = ("coarse_head", "winograd", "depth_to_space")
UPSAMPLING = ("slice_into_transpose", "phase_transpose", "depth_to_space")


class Net:
    """Collects nodes with random weights; `x` is the input."""

    def __init__(self, *shape: int) -> None:
        self._shape = shape
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []
        self._random = np.random.default_rng(0)

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; its output is called like the node."""
        name = f"{op_type.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def weights(self, *shape: int) -> str:
        """Normal, scaled so that a convolution keeps the variance."""
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        return self.constant(self._random.normal(size=shape) / np.sqrt(fan_in), np.float32)

    def constant(self, array: Any, kind: type = np.float32) -> str:
        """Add an initializer."""
        name = f"constant_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.array(array, kind), name))
        return name

    def conv(self, value: str, c: int, m: int, k: int, stride: int = 1, pad: int = 0) -> str:
        """Conv from c to m channels."""
        strides, pads = [stride] * 2, [pad] * 4
        return self.node("Conv", value, self.weights(m, c, k, k), strides=strides, pads=pads)

    def up(self, value: str, c: int, m: int, k: int, pads: Sequence[int]) -> str:
        """ConvTranspose of stride 2."""
        weights = self.weights(c, m, k, k)
        return self.node("ConvTranspose", value, weights, strides=[2, 2], pads=pads)

    def instance_norm(self, value: str, channels: int) -> str:
        """InstanceNormalization as CycleGAN has it, without scale and shift."""
        affine = self.constant(np.ones(channels)), self.constant(np.zeros(channels))
        return self.node("InstanceNormalization", value, *affine)

    def batch_norm(self, value: str, channels: int) -> str:
        """BatchNormalization."""
        statistics = [self.constant(np.full(channels, v)) for v in (1.0, 0.1, 0.1, 1.5)]
        return self.node("BatchNormalization", value, *statistics)

    def spelled_norm(self, value: str) -> str:
        """InstanceNormalization in elementary operators."""
        difference = self.node("Sub", value, self.node("GlobalAveragePool", value))
        square = self.node("Mul", difference, difference)
        variance = self.node("ReduceMean", square, self.constant([2, 3], np.int64))
        total = self.node("Add", variance, self.constant(1e-5))
        return self.node("Div", difference, self.node("Sqrt", total))

    def finish(self, output: str) -> onnx.ModelProto:
        """Return the graph in normal form."""
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self._weights,
        )
        opsets = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return normalise(onnx.shape_inference.infer_shapes(model))

    def finish_layer(self, value: str, channels: int) -> onnx.ModelProto:
        """End with a norm and an output so small that writing it costs nothing."""
        value = self.node("Relu", self.instance_norm(value, channels))
        return self.finish(self.node("MaxPool", value, kernel_shape=[1, 1], strides=[3, 3]))


Case = tuple[Sequence[str], str, onnx.ModelProto]


def layers() -> Iterator[Case]:
    """One layer each, at the sizes that generators have."""
    net = Net(1, 64, 64, 64)
    value = net.batch_norm(net.conv("x", 64, 64, 3, pad=1), 64)
    yield ("fold_batchnorm",), "3x3 64 to 64 at 64", net.finish_layer(value, 64)
    net = Net(1, 32, 128, 128)
    value = net.spelled_norm(net.conv("x", 32, 32, 1))
    yield ("join_instancenorm",), "32 at 128", net.finish_layer(value, 32)
    for k, c, m, size in (
        *((9, 32, 3, 256), (9, 8, 3, 256), (7, 64, 3, 256), (3, 16, 3, 256), (3, 16, 1, 224)),
        *((9, 3, 8, 256), (9, 3, 4, 256), (7, 3, 8, 256)),
    ):
        net = Net(1, c, size, size)
        layer = net.finish_layer(net.conv("x", c, m, k, pad=k // 2), m)
        yield ("wide_head", "depth_to_space"), f"{k}x{k} {c} to {m} at {size}", layer
        if k == 9 and m == 3:
            yield HEADS, f"{k}x{k} {c} to {m} at {size}", layer
    for c, size in ((256, 64), (128, 64), (64, 64), (48, 64), (64, 128)):
        net = Net(1, c, size, size)
        layer = net.finish_layer(net.conv("x", c, c, 3, pad=1), c)
        yield ("winograd",), f"3x3 {c} to {c} at {size}", layer
    net = Net(1, 64, 128, 128)
    bounds = [net.constant(b, np.int64) for b in ([0, 0], [256, 256], [2, 3])]
    value = net.node("Slice", net.up("x", 64, 32, 3, [0] * 4), *bounds)
    yield ("slice_into_transpose",), "3x3 64 to 32 at 128", net.finish_layer(value, 32)
    for k, c, m, size in (
        *((3, 128, 64, 64), (3, 64, 32, 128), (3, 32, 16, 128), (3, 16, 8, 128)),
        *((4, 512, 256, 16), (4, 128, 64, 64), (4, 64, 32, 128), (4, 32, 16, 128)),
    ):
        net = Net(1, c, size, size)
        value = net.up("x", c, m, k, [0, 0, 1, 1] if k == 3 else [1] * 4)
        yield UPSAMPLING, f"{k}x{k} {c} to {m} at {size}", net.finish_layer(value, m)
    for channels, size in ((3, 256), (32, 256)):
        net = Net(1, 4 * channels, size // 2, size // 2)
        value = net.node("DepthToSpace", "x", blocksize=2)
        layer = net.finish_layer(value, channels)
        yield ("depth_to_space",), f"{channels} at {size}", layer

    yield from spelled_layers()
    yield from enlarged_layers()


def spelled_layers() -> Iterator[Case]:
    """What exporters write in several operators."""
    net = Net(1, 64, 64, 64)
    conv = net.conv("x", 64, 64, 1)
    limited = net.node(
        "Clip",
        net.node("Add", conv, net.constant(3.0)),
        *(net.constant(v) for v in (0.0, 6.0)),
    )
    swish = net.node("Mul", conv, net.node("Div", limited, net.constant(6.0)))
    yield ("join_hard_sigmoid",), "hard swish, 64 at 64", net.finish_layer(swish, 64)
    for slope in ("one slope", "maximum"):
        net = Net(1, 64, 64, 64)
        conv = net.conv("x", 64, 64, 3, pad=1)
        if slope == "maximum":
            value = net.node("Max", conv, net.node("Mul", conv, net.constant(0.2)))
        else:
            value = net.node("PRelu", conv, net.constant([[[0.2]]]))
        yield ("leaky_relu",), f"{slope}, 64 at 64", net.finish_layer(value, 64)
    net = Net(1, 4096, 64)
    scale, shift = net.weights(64), net.weights(64)
    axes = net.constant([-1], np.int64)
    difference = net.node("Sub", "x", net.node("ReduceMean", "x", axes))
    variance = net.node("ReduceMean", net.node("Mul", difference, difference), axes)
    root = net.node("Sqrt", net.node("Add", variance, net.constant(1e-5)))
    value = net.node("Mul", net.node("Div", difference, root), scale)
    yield ("join_layernorm",), "4096 tokens of 64", net.finish(net.node("Add", value, shift))
    net = Net(1, 3, 256, 256)
    value = "x"
    for op_type, number in (("Mul", 2.0), ("Sub", 0.5), ("Div", 0.3), ("Add", 0.1)):
        value = net.node(op_type, value, net.constant(number))
    layer = net.finish_layer(net.conv(value, 3, 16, 7), 16)
    yield ("merge_affine",), "four steps, 3 at 256", layer
    yield ("scale_into_conv",), "four steps and 7x7, 3 to 16", layer
    net = Net(1, 16, 256, 256)
    value = net.node("Mul", net.instance_norm("x", 16), net.constant(0.5))
    value = net.node("Add", value, net.constant(0.5))
    yield ("affine_into_layer",), "norm and two steps, 16 at 256", net.finish_layer(value, 16)
    net = Net(1, 64, 64, 64)
    value = net.node("Add", net.conv("x", 64, 64, 1), net.weights(64, 1, 1))
    yield ("shift_before_norm",), "64 at 64", net.finish_layer(value, 64)
    net = Net(1, 64, 64, 64)
    pads = net.constant([0, 0, 1, 1] * 2, np.int64)
    layer = net.finish_layer(net.conv(net.node("Pad", "x", pads), 64, 64, 3), 64)
    yield ("pad_into_conv",), "3x3 64 to 64 at 64", layer


def enlarged_layers() -> Iterator[Case]:
    """Nearest upsampling, a skip, and a convolution; the activation behind a Concat."""
    for c, m, size in ((128, 64, 64), (64, 32, 128), (32, 16, 128), (16, 8, 128)):
        for skip in (False, True):
            net = Net(1, c, size, size)
            scales = net.constant([1.0, 1.0, 2.0, 2.0])
            value = net.node(
                "Resize",
                "x",
                "",
                scales,
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
            name, rules = f"3x3 {c} to {m} at {size}", ENLARGING
            if skip:
                other = net.up("x", c, m, 2, [0] * 4)
                value = net.node("Concat", value, other, axis=1)
                name += " with skip"
            layer = net.finish_layer(net.conv(value, c + m * skip, m, 3, pad=1), m)
            yield rules, name, layer
    net = Net(1, 64, 64, 64)
    parts = [net.conv("x", 64, 64, 3, pad=1), net.node("Relu", "x")]
    value = net.node("Relu", net.node("Concat", *parts, axis=1))
    layer = net.finish_layer(net.conv(value, 128, 64, 3, pad=1), 64)
    yield ("activation_before_concat",), "two of 64 at 64", layer
