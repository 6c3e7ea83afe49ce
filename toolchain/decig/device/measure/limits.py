"""What a device can do at most: operations and bytes a second, measured through ONNX Runtime.

The peak is the best of a large MatMul and a wide Conv in float32. The Conv is dilated, because no
library runs that by Winograd's method, which would show a peak that no hardware has. The bandwidth
is that of an element-wise copy (Relu of positive values) far larger than most caches, with bytes
read and bytes written counted. Both run on the device's provider with the device's threads.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from decig.device.run.feeds import random_feeds
from decig.device.run.runs import QuietRun, prepare_run
from decig.device.run.session import DeviceOptions, open_session
from decig.device.run.timing import non_negative, time_once
from decig.errors import BadInputError, DecigError
from decig.graph.cost import count

log = logging.getLogger(__name__)

_LARGE_US = 10_000.0  # a run this long says what the device can do
_SIDES = (256, 512, 1024, 2048, 4096)  # of the matrices
_WIDTHS = (64, 128, 256, 512, 1024)  # of the convolution, at 32x32
_COPY_SHAPE, _COPY_SHAPE_GPU = [1, 64, 512, 512], [4, 64, 512, 512]
_SECONDS, _FEWEST = 0.25, 4  # of runs of one model

_KNOWN: dict[str, "Limits | None"] = {}


@dataclass(frozen=True)
class Limits:
    """What a device can do at most.

    Attributes:
        gflops: 10^9 floating-point operations a second.
        gbytes_per_s: 10^9 bytes a second, read and written together.
    """

    gflops: float
    gbytes_per_s: float

    def to_dict(self) -> dict[str, float]:
        """Return the JSON object of the file formats."""
        return {"gflops": round(self.gflops, 2), "gbytes_per_s": round(self.gbytes_per_s, 3)}

    @classmethod
    def read(cls, parent: Mapping[str, Any], where: str) -> "Limits | None":
        """Read what `to_dict` wrote from under the key `limits` of `parent`, if it is there.

        Raises:
            BadInputError: a figure is missing, no number, or zero; starts with `where`.
        """
        if "limits" not in parent:
            return None
        found = parent["limits"]
        if not isinstance(found, Mapping):
            raise BadInputError(f"{where}limits: not an object")
        gflops, gbytes_per_s = (
            non_negative(found.get(key), f"{where}limits.{key}")
            for key in ("gflops", "gbytes_per_s")
        )
        if not gflops or not gbytes_per_s:
            raise BadInputError(f"{where}limits: zero; profile the model again")
        return cls(gflops, gbytes_per_s)


def measure_limits(options: DeviceOptions) -> Limits | None:
    """Measure what a device can do at most, in one to two seconds; once in a process.

    The best of a few runs stands: whatever else the machine does only takes away. None, with a
    warning, where the provider cannot run the models that it is measured with.
    """
    key = str(options)
    if key not in _KNOWN:
        try:
            peak = max(_rate(_matmul, _SIDES, options), _rate(_conv, _WIDTHS, options))
            _KNOWN[key] = Limits(1e-3 * peak, 1e-3 * _copy_rate(options))
        except DecigError as error:
            log.warning("the limits of this device are not known: %s", error)
            _KNOWN[key] = None
    return _KNOWN[key]


def _rate(
    build: Callable[[int], onnx.ModelProto], sizes: tuple[int, ...], options: DeviceOptions
) -> float:
    """Operations a microsecond, at the first size that keeps the device busy for long enough."""
    for size in sizes:
        model = build(size)
        session = open_session(model, options)
        run = prepare_run(session, random_feeds(session), options)
        run()
        if size == sizes[-1] or time_once(run) >= _LARGE_US:
            break
    return 2.0 * count(model).macs / _best(run, options)


def _copy_rate(options: DeviceOptions) -> float:
    """Bytes a microsecond, read and written."""
    on_host = options.gpu is None
    session = open_session(_copy_model(_COPY_SHAPE if on_host else _COPY_SHAPE_GPU), options)
    feeds = random_feeds(session)
    run = _in_place(session, feeds) if on_host else prepare_run(session, feeds, options)
    return 2.0 * sum(array.nbytes for array in feeds.values()) / _best(run, options)


def _in_place(session: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> Callable[[], object]:
    """Runs that write into the same memory each time: new pages would cost more than the copy."""
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
        output = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype)
        binding.bind_ortvalue_output(session.get_outputs()[0].name, output)
    return partial(_run_bound, session, binding, feeds)


def _run_bound(session: ort.InferenceSession, binding: ort.IOBinding, held: object) -> None:
    """Run once; the binding points into the memory of `held` and does not keep it."""
    session.run_with_iobinding(binding)


def _best(run: Callable[[], object], options: DeviceOptions) -> float:
    """Microseconds of the quickest of a few runs."""
    quiet = QuietRun(run, options)
    quiet()
    start, spent = perf_counter(), [time_once(quiet)]
    while len(spent) < _FEWEST or perf_counter() - start < _SECONDS:
        spent.append(time_once(quiet))
    return min(spent)


def _matmul(side: int) -> onnx.ModelProto:
    return _one_node("MatMul", [side, side], (side, side))


def _conv(width: int) -> onnx.ModelProto:
    weight = (width, width, 3, 3)
    return _one_node("Conv", [1, width, 32, 32], weight, pads=[2] * 4, dilations=[2, 2])


def _copy_model(shape: list[int]) -> onnx.ModelProto:
    return _one_node("Relu", shape)  # of positive values


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
