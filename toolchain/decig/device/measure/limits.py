"""What a device can do at most: operations and bytes per second, measured through ONNX Runtime.

The peak is the better one of a large MatMul and a wide Conv in float32. The Conv is dilated,
because no library runs that by Winograd's method, which would show a peak that no hardware has. The
bandwidth is that of an element-wise copy (Relu of positive values) far larger than most caches;
bytes read and bytes written count. Both run on the device's provider with the device's threads.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.timing import Call, time_once
from decig.errors import DecigError
from decig.graph.cost import count
from decig.schema import Positive

log = logging.getLogger(__name__)

LARGE_US = 10_000.0
"""A run of so many microseconds is long enough to show what the device can do."""
SIDES = (256, 512, 1024, 2048, 4096)
"""Sides of the square matrices, tried in turn."""
WIDTHS = (64, 128, 256, 512, 1024)
"""Channels of the convolution at 32x32, tried in turn."""
COPY_SHAPE, COPY_SHAPE_GPU = [1, 64, 512, 512], [4, 64, 512, 512]
SECONDS, FEWEST = 0.25, 4
"""How long one model runs, and how often at least."""


@dataclass(frozen=True)
class Limits:
    """What a device can do at most.

    Attributes:
        gflops: 10^9 floating-point operations per second.
        gbytes_per_s: 10^9 bytes per second, read and written together.
    """

    gflops: Positive
    gbytes_per_s: Positive

    def to_dict(self) -> dict[str, float]:
        """Return the JSON object of the file formats."""
        return {"gflops": round(self.gflops, 2), "gbytes_per_s": round(self.gbytes_per_s, 3)}


@cache
def measure_limits(device: Device) -> Limits | None:
    """Measure what a device can do at most, in one to two seconds; once per process.

    The best of a few runs counts: whatever else the machine does only takes away. None, with a
    warning, where the provider cannot run the models that it is measured with.
    """
    try:
        peak = max(_rate(matmul, SIDES, device), _rate(conv, WIDTHS, device))
        return Limits(1e-3 * peak, 1e-3 * _copy_rate(device))
    except DecigError as error:
        log.warning("the limits of this device are not known: %s", error)
        return None


def _rate(build: Callable[[int], onnx.ModelProto], sizes: tuple[int, ...], device: Device) -> float:
    """Operations per microsecond, at the first size that keeps the device busy for long enough."""
    for size in sizes:
        model = build(size)
        session = device.open(model)
        run = device.prepare(session, random_feeds(session))
        run()
        if size == sizes[-1] or time_once(run) >= LARGE_US:
            break
    return 2.0 * count(model).macs / quickest_us(run, device)


def _copy_rate(device: Device) -> float:
    """Bytes per microsecond, read and written."""
    on_host = device.gpu is None
    session = device.open(copy_model(COPY_SHAPE if on_host else COPY_SHAPE_GPU))
    feeds = random_feeds(session)
    run = in_place(session, feeds) if on_host else device.prepare(session, feeds)
    return 2.0 * sum(array.nbytes for array in feeds.values()) / quickest_us(run, device)


def in_place(session: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> Call:
    """A run that writes to the same memory each time: new pages would cost more than the copy."""
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
        output = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype)
        binding.bind_ortvalue_output(session.get_outputs()[0].name, output)
    return partial(_run_bound, session, binding, feeds)


def _run_bound(session: ort.InferenceSession, binding: ort.IOBinding, held: object) -> None:
    """Run once; the binding points into the memory of `held`, which must stay alive."""
    session.run_with_iobinding(binding)


def quickest_us(run: Call, device: Device) -> float:
    """Microseconds of the quickest of a few runs."""
    undisturbed = device.undisturbed(run)
    undisturbed()
    start, spent = perf_counter(), [time_once(undisturbed)]
    while len(spent) < FEWEST or perf_counter() - start < SECONDS:
        spent.append(time_once(undisturbed))
    return min(spent)


def matmul(side: int) -> onnx.ModelProto:
    """Make a model that multiplies two square matrices of so many rows."""
    return _one_node("MatMul", [side, side], (side, side))


def conv(width: int) -> onnx.ModelProto:
    """Make a model of a dilated convolution of so many channels at 32x32."""
    weight = (width, width, 3, 3)
    return _one_node("Conv", [1, width, 32, 32], weight, pads=[2] * 4, dilations=[2, 2])


def copy_model(shape: list[int]) -> onnx.ModelProto:
    """Make a model that copies an array of positive values."""
    return _one_node("Relu", shape)


def _one_node(
    op: str, shape: list[int], weight: tuple[int, ...] = (), **attributes: Any
) -> onnx.ModelProto:
    """Make a model of one operator that keeps the shape; its weights, if any, are random."""
    values = np.random.default_rng(0).random(weight, np.float32)
    weights = [numpy_helper.from_array(values, "w")] if weight else []
    node = helper.make_node(op, ["x", *(w.name for w in weights)], ["y"], name="n", **attributes)
    graph = helper.make_graph(
        [node],
        "limit",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
