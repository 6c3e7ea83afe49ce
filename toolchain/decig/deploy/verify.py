"""Whether two graphs compute the same: both run on the same inputs and are compared."""

import logging
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from decig.data.feeds import Feeds
from decig.data.inputs import seeded_feeds
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.device.run.numbers import NoNumbersError, are_numbers, first_without_numbers
from decig.device.run.runs import run_session
from decig.errors import BadInputError, DecigError
from decig.graph.draws import Draws, drawing, draws, pin
from decig.graph.model import Model, shapes
from decig.graph.widen import to_double
from decig.quality.parity import finite_range, max_abs_diff

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference that rounding may make, as a share of the output range."""

_EXACTLY = 3
"""Number of inputs on which graphs are compared in double precision, which is slow."""

GREY_LEVELS = 1
"""Largest difference between two pictures of bytes: a value halfway may be rounded either way."""

_SATURATING = ("Clip", "HardSigmoid", "Sigmoid", "Softmax", "Softsign", "Tanh")
"""Operators that give the same for whatever is far enough out."""
_CARRYING = ("Add", "Div", "Identity", "Mul", "Reshape", "Sub", "Transpose")
"""Operators that may follow them on the way to the picture, their other operand a constant."""

Runner = Callable[[Feeds], list[np.ndarray]]


def runner(
    proto: onnx.ModelProto,
    device: Device | None = None,
    optimisation: str = "basic",
    given: Draws | None = None,
) -> Runner:
    """Return a function that runs a graph.

    Args:
        proto: the graph.
        device: where it runs; on the CPU if not given.
        optimisation: how much ONNX Runtime may rewrite it, as in `Device.open`.
        given: random numbers that it uses instead of drawing; if not given, the same in every run
            and in every graph whose nodes have the same names. An empty mapping lets it draw.

    Returns:
        A function that raises NoNumbersError where an output is NaN or infinite.
    """
    where = Device.for_work() if device is None else device.unbound
    proto = pin(proto, draws(proto) if given is None else given)
    session = where.open(proto, optimisation=optimisation)
    return _guarded(lambda feeds: run_session(session, feeds), proto)


def _guarded(run: Runner, proto: onnx.ModelProto) -> Runner:
    """Let a function that runs a graph fail where an output is NaN or infinite.

    Two graphs that both compute NaN are equal, and no comparison of them proves anything.
    """

    def checked(feeds: Feeds) -> list[np.ndarray]:
        outputs = run(feeds)
        if not are_numbers(outputs):
            raise NoNumbersError(
                f"{first_without_numbers(proto, feeds)}: check the weights, and what feeds the "
                "model (--input-range)"
            )
        return outputs

    return checked


def relative_difference(reference: Runner, candidate: Runner, feeds: Iterable[Feeds]) -> float:
    """Largest difference of any output on any input, as a share of the output's range.

    The range is that of the reference's output over all inputs: a sigmoid that is almost 0 on one
    input covers too little there to compare rounding with.

    Raises:
        NoNumbersError: the reference computes NaN or infinity.
        DecigError: the candidate alone does.
    """
    worst: dict[int, float] = defaultdict(float)
    low: dict[int, float] = defaultdict(lambda: math.inf)
    high: dict[int, float] = defaultdict(lambda: -math.inf)
    for given in feeds:
        wanted = reference(given)
        try:
            made = candidate(given)
        except NoNumbersError as error:
            raise DecigError(f"where the original computes numbers, {error}") from error
        for place, (expected, found) in enumerate(zip(wanted, made, strict=True)):
            worst[place] = max(worst[place], max_abs_diff(expected, found, (0, 1)))
            seen = finite_range(expected)
            low[place], high[place] = min(low[place], seen[0]), max(high[place], seen[1])
    spans = {place: high[place] - low[place] for place in worst}
    return max((d / (spans[p] if spans[p] > 0 else 1.0) for p, d in worst.items()), default=0.0)


def graph_difference(
    reference: onnx.ModelProto, candidate: onnx.ModelProto, feeds: Sequence[Feeds]
) -> float:
    """Compare two graphs on the CPU, as `relative_difference` does.

    Rounding to float32 alone may differ by more than `TOLERANCE` of the range where a picture is
    almost constant: a sigmoid near 0 moves in steps of 1e-7. So where the graphs differ by more,
    both are run again in double precision, and that difference is returned: rounding is gone
    there, while a wrong weight is not. What saturates at the end is compared before it does, too.
    """
    given = draws(reference)
    reference, candidate = pin(reference, given), pin(candidate, given)
    reference, candidate = before_saturation(reference, candidate)
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


def before_saturation(
    reference: onnx.ModelProto, candidate: onnx.ModelProto
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Let two graphs also give what goes into the saturating functions at their ends.

    A Tanh that is 1 everywhere is the same whatever stands before it: that the pictures agree
    proves nothing there. So the values before it are compared as well.

    Returns:
        Copies with more outputs, the same number in both; the graphs themselves where nothing
        saturates at the end of both.
    """
    ends = [
        (_unsaturated(reference, one.name), _unsaturated(candidate, other.name))
        for one, other in zip(reference.graph.output, candidate.graph.output, strict=True)
    ]
    both = [
        (one, other)
        for one, other in ends
        if one is not None and other is not None and _alike(one, other)
    ]
    if not both:
        return reference, candidate
    more = []
    for proto, values in zip((reference, candidate), zip(*both, strict=True), strict=True):
        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        known = {value.name for value in copy.graph.output}
        copy.graph.output.extend(value for value in values if value.name not in known)
        more.append(copy)
    counts = [len(proto.graph.output) for proto in more]
    return (more[0], more[1]) if counts[0] == counts[1] else (reference, candidate)


def _alike(one: onnx.ValueInfoProto, other: onnx.ValueInfoProto) -> bool:
    """Whether two values have the same axes, so that they can be compared."""
    return bool(one.type.tensor_type.shape == other.type.tensor_type.shape)


def _unsaturated(proto: onnx.ModelProto, output: str) -> onnx.ValueInfoProto | None:
    """The value before the saturating functions at the end of a graph; None where none is there."""
    makers = {name: node for node in proto.graph.node for name in node.output}
    constant = {tensor.name for tensor in proto.graph.initializer}
    found, value = None, output
    while (node := makers.get(value)) is not None:
        given = [name for name in node.input if name and name not in constant]
        saturates = node.op_type in _SATURATING
        if len(given) != 1 or not (saturates or node.op_type in _CARRYING):
            break
        value = given[0]
        found = value if saturates else found
    return next((info for info in proto.graph.value_info if info.name == found), None)


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
    """Compare two graphs of a model with dynamic axes at other sizes (`OpenAxes.other_sizes`).

    Args:
        model: the model.
        reference: a graph that has the dynamic axes again, or was made for those sizes.
        candidate: a graph that has the dynamic axes again (`Model.reopen`).
        pixels: the pixel format, where it is known.

    Returns:
        The difference; 0 if no size of the model is open, if one of the graphs draws random
        numbers, or if the reference does not run at those sizes although the file claims it.
    """
    if model.axes is None:
        return 0.0
    if not model.axes.values and shapes(candidate).keys() >= model.axes.sizes.keys():
        return 0.0  # it could not be reopened, and a warning said so
    if drawing(reference) or drawing(candidate):
        log.info("%s draws random numbers: compared at one size only", model.path)
        return 0.0
    sizes = model.axes.other_sizes()
    shown = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in sizes.items())
    try:
        feeds = noise_feeds(reference, pixels, sizes)[-1:]
    except NoNumbersError:
        raise
    except BadInputError as error:
        log.info("%s: compared at one size only; at another, %s", model.path, error)
        return 0.0
    log.info("compared at %s too", shown)
    return graph_difference(reference, candidate, feeds)


def noise_feeds(
    proto: onnx.ModelProto,
    pixels: PixelFormat | None,
    shapes: Mapping[str, list[int]] | None = None,
) -> list[Feeds]:
    """Return noise (`decig.data.inputs.seeded_feeds`) from which a graph computes numbers.

    Where the pixel format is not known, noise in some of the usual ranges may be nothing that the
    model takes (the root of a negative pixel); that is left out.

    Raises:
        NoNumbersError: it computes NaN or infinity from noise in its range, or in every range.
        BadInputError: it does not run.
    """
    run = runner(proto)
    usable: list[Feeds] = []
    feeds = seeded_feeds(proto, pixels, shapes)
    for given in feeds:
        try:
            run(given)
        except NoNumbersError:
            if pixels is not None or (given is feeds[-1] and not usable):
                raise
        else:
            usable.append(given)
    return usable


def tolerance_of(proto: onnx.ModelProto) -> float:
    """Return the largest difference that rounding may make in a graph: float16 has only 11 bits."""
    halves = (tensor.data_type == TensorProto.FLOAT16 for tensor in proto.graph.initializer)
    return 50 * TOLERANCE if any(halves) else TOLERANCE


def require_same(difference: float, what: str, tolerance: float = TOLERANCE) -> None:
    """Raise DecigError, naming what was compared, if a difference is more than rounding."""
    if not difference <= tolerance:
        raise DecigError(
            f"{what}: outputs differ by {difference:.1e} of their range (at most {tolerance:.0e})"
        )


def grey_levels(
    reference: Callable[[np.ndarray], np.ndarray],
    candidate: Callable[[np.ndarray], np.ndarray],
    images: Iterable[np.ndarray],
) -> int:
    """Largest difference between the pictures that two models paint of images.

    Pictures and images are RGB uint8 N,H,W,3, and so is the difference counted.
    """
    worst = 0
    for image in images:
        expected, found = (paint(image).astype(np.int16) for paint in (reference, candidate))
        worst = max(worst, int(np.abs(expected - found).max()))
    return worst


def require_same_pixels(levels: int, what: str) -> None:
    """Raise DecigError, naming what was compared, if pictures differ by more than rounding."""
    if levels > GREY_LEVELS:
        raise DecigError(f"{what}: pictures differ by {levels} grey levels (at most {GREY_LEVELS})")


def torch_runner(proto: onnx.ModelProto) -> Runner:
    """Return a function that runs a graph as the module that training uses; needs PyTorch."""
    from decig.training.trainable.module import module_runner

    return _guarded(module_runner(proto), proto)
