"""Do two graphs compute the same? Run both on the same inputs and compare."""

import logging
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from decig.data.feeds import Feeds
from decig.data.inputs import seeded_feeds
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.errors import BadInputError, DecigError
from decig.graph.model import Model, shapes
from decig.graph.widen import to_double
from decig.quality.parity import finite_range, max_abs_diff

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference, as a share of the output range, that rounding may make."""

_EXACTLY = 3  # inputs that are run in double precision

GREY_LEVELS = 1
"""Largest difference between two pictures of bytes: rounding at the half turns either way."""

Runner = Callable[[Feeds], list[np.ndarray]]


def runner(
    proto: onnx.ModelProto, device: Device | None = None, optimisation: str = "basic"
) -> Runner:
    """Return a function that runs a graph; on the CPU with few rewrites unless told otherwise."""
    where = Device.of() if device is None else device.unbound
    session = where.open(proto, optimisation=optimisation)
    return lambda feeds: run_session(session, feeds)


def relative_difference(reference: Runner, candidate: Runner, feeds: Iterable[Feeds]) -> float:
    """Largest difference of any output on any input.

    Relative to the range that this output of the reference covers over all inputs: a sigmoid that
    is almost 0 on one of them says nothing about rounding there.
    """
    worst: dict[int, float] = defaultdict(float)
    low: dict[int, float] = defaultdict(lambda: math.inf)
    high: dict[int, float] = defaultdict(lambda: -math.inf)
    for given in feeds:
        for place, (expected, found) in enumerate(
            zip(reference(given), candidate(given), strict=True)
        ):
            worst[place] = max(worst[place], max_abs_diff(expected, found, (0, 1)))
            seen = finite_range(expected)
            low[place], high[place] = min(low[place], seen[0]), max(high[place], seen[1])
    spans = {place: high[place] - low[place] for place in worst}
    return max((d / (spans[p] if spans[p] > 0 else 1.0) for p, d in worst.items()), default=0.0)


def graph_difference(
    reference: onnx.ModelProto, candidate: onnx.ModelProto, feeds: Sequence[Feeds]
) -> float:
    """Difference of two graphs on the CPU, as `relative_difference` has it.

    The rounding of float32 alone may be more than `TOLERANCE` of the range of a picture that is
    almost constant: a sigmoid near 0 moves in steps of 1e-7. So where the graphs differ by more,
    both are run again in double precision, and that decides. A wrong weight shows there as well.
    """
    difference = relative_difference(runner(reference), runner(candidate), feeds)
    if difference <= TOLERANCE:
        return difference
    try:
        runs = exact_runner(reference), exact_runner(candidate)
        exact = relative_difference(*runs, feeds[:_EXACTLY])
    except Exception as error:  # the evaluator lacks operators and raises whatever numpy does
        log.info("not compared in double precision: %s", error)
        return difference
    log.info("float32 differs by %.1e of the range, double precision by %.1e", difference, exact)
    return exact


def exact_runner(proto: onnx.ModelProto) -> Runner:
    """Return a function that runs a graph in double precision: ONNX's reference, which is slow."""
    evaluator = ReferenceEvaluator(to_double(proto))

    def run(feeds: Feeds) -> list[np.ndarray]:
        wide = {n: a.astype(np.float64) if a.dtype.kind in "fV" else a for n, a in feeds.items()}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [np.asarray(output) for output in evaluator.run(None, wide)]

    return run


def difference_elsewhere(
    model: Model, reference: onnx.ModelProto, candidate: onnx.ModelProto, pixels: PixelFormat | None
) -> float:
    """Compare two graphs of a model with dynamic axes at `OpenAxes.other_sizes`.

    The candidate is reopened, the reference that or made for those sizes. 0 if the model has no
    dynamic axes, or the reference does not run there, although the file says so.
    """
    if model.axes is None:
        return 0.0
    if shapes(candidate).keys() >= model.axes.sizes.keys():
        return 0.0  # it could not be reopened, and a warning said so
    sizes = model.axes.other_sizes()
    shown = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in sizes.items())
    feeds = seeded_feeds(reference, pixels, sizes)[-1:]
    known = runner(reference)
    try:
        known(feeds[0])
    except BadInputError as error:
        log.info("%s: compared at one size only; at another, %s", model.path, error)
        return 0.0
    log.info("compared at %s too", shown)
    return graph_difference(reference, candidate, feeds)


def tolerance_of(proto: onnx.ModelProto) -> float:
    """Largest difference that rounding may make in a graph: float16 has 11 bits."""
    halves = (tensor.data_type == TensorProto.FLOAT16 for tensor in proto.graph.initializer)
    return 50 * TOLERANCE if any(halves) else TOLERANCE


def require_same(difference: float, what: str, tolerance: float = TOLERANCE) -> None:
    """Raise DecigError if a difference is more than rounding; `what` names what was compared."""
    if not difference <= tolerance:
        raise DecigError(
            f"{what}: outputs differ by {difference:.1e} of their range (at most {tolerance:.0e})"
        )


def grey_levels(
    reference: Callable[[np.ndarray], np.ndarray],
    candidate: Callable[[np.ndarray], np.ndarray],
    images: Iterable[np.ndarray],
) -> int:
    """Largest difference between two models' pictures, uint8, of images, RGB uint8 N,H,W,3."""
    worst = 0
    for image in images:
        expected, found = (paint(image).astype(np.int16) for paint in (reference, candidate))
        worst = max(worst, int(np.abs(expected - found).max()))
    return worst


def require_same_pixels(levels: int, what: str) -> None:
    """Raise DecigError if pictures differ by more than rounding; `what` says what was compared."""
    if levels > GREY_LEVELS:
        raise DecigError(f"{what}: pictures differ by {levels} grey levels (at most {GREY_LEVELS})")


def torch_runner(proto: onnx.ModelProto) -> Runner:
    """Return a function that runs a graph as the module that training uses; needs torch."""
    import torch

    from decig.train.module import build_module

    module = build_module(proto).eval()

    def run(feeds: Feeds) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = module(*(torch.from_numpy(array) for array in feeds.values()))
        parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return [part.numpy() for part in parts]

    return run
