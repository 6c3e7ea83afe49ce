"""Find the widest peer that is as fast as decig's result, by measuring peers on the machine."""

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from competitors import GENEROSITY
from competitors.family import STYLE, Family
from competitors.training import write_onnx
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.timing import Timing, measure_interleaved

_SCREEN_REFERENCE = 4  # every screened width takes turns with the widest one divided by this
_SCREEN_STRIDE = 4  # convolutions of ONNX Runtime are best at multiples of 4, 8 or 16


@dataclass(frozen=True)
class Match:
    """A peer's width for one result of decig's.

    Attributes:
        trunk: channels of the peer's widest layers.
        ratio: the peer's latency over decig's, measured in turns.
    """

    trunk: int
    ratio: float


class PeerLatency:
    """Latency of the peers' net at every width; weights play no part in it."""

    def __init__(self, shape: list[int], family: Family = STYLE) -> None:
        """Export the full net once; narrower ones differ in their initializers only.

        Args:
            shape: of the input, 1,C,H,W.
            family: the nets.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "net.onnx"
            write_onnx(family.make(family.widest), shape, file)
            self._full = onnx.load(file)
        self.family = family
        self.screened: dict[int, float] = {}

    @property
    def _reference(self) -> int:
        """Channels of the net that every screened width takes turns with."""
        return max(self.family.narrowest, self.family.widest // _SCREEN_REFERENCE)

    def graph(self, trunk: int) -> onnx.ModelProto:
        """ONNX graph of the net at `trunk` channels, with random weights."""
        weights = {k: v.numpy() for k, v in self.family.make(trunk).state_dict().items()}
        proto = copy.deepcopy(self._full)
        del proto.graph.value_info[:]
        for entry in proto.graph.initializer:
            if entry.name in weights:
                entry.CopyFrom(numpy_helper.from_array(weights[entry.name], entry.name))
        return proto

    def screen(self, runs: int = 5) -> None:
        """Measure every fourth width in a few runs, relative to one that takes turns with it."""
        reference = session_call(self.graph(self._reference))
        for trunk in range(self.family.narrowest, self.family.widest + 1, _SCREEN_STRIDE):
            calls = {"peer": session_call(self.graph(trunk)), "reference": reference}
            found = measure_interleaved(calls, Timing(min_runs=runs, max_runs=runs, warm_up=1))
            self.screened[trunk] = found["peer"].median / found["reference"].median

    def match(self, result: Path, max_seconds: float = 60.0) -> Match:
        """Find the widest net that takes at most `GENEROSITY` times as long as `result`.

        Where no width is that fast, the fastest is taken, which favours the peers.
        """
        narrowest, widest = self.family.narrowest, self.family.widest
        own = 1 / self.ratios(result, [self._reference], max_seconds / 4)[self._reference]
        screened = [trunk for trunk, ratio in self.screened.items() if ratio <= own * GENEROSITY]
        place, best = max(screened, default=narrowest), None
        while narrowest <= place <= widest:
            around = range(place - _SCREEN_STRIDE + 1, place + _SCREEN_STRIDE)
            chosen = [trunk for trunk in around if narrowest <= trunk <= widest]
            ratios = self.ratios(result, chosen, max_seconds)
            fitting = [trunk for trunk, ratio in ratios.items() if ratio <= GENEROSITY]
            if not fitting and best:
                break
            if not fitting:
                place -= _SCREEN_STRIDE
                continue
            best = Match(max(fitting), ratios[max(fitting)])
            if best.trunk < max(chosen):
                break
            place += _SCREEN_STRIDE  # screening was too pessimistic
        return best or self._fastest(result, max_seconds)

    def _fastest(self, result: Path, max_seconds: float) -> Match:
        limit = min(self.screened.values()) * GENEROSITY
        widest = max(trunk for trunk, ratio in self.screened.items() if ratio <= limit)
        return Match(widest, self.ratios(result, [widest], max_seconds)[widest])

    def ratios(self, result: Path, trunks: list[int], max_seconds: float) -> dict[int, float]:
        """Measure nets of these widths, as shares of what `result` takes."""
        calls = {trunk: session_call(self.graph(trunk)) for trunk in trunks}
        found = measure_interleaved(
            {"own": session_call(result), **{str(t): call for t, call in calls.items()}},
            Timing(min_runs=20, max_seconds=max_seconds, firm=0.003),
        )
        return {trunk: found[str(trunk)].median / found["own"].median for trunk in trunks}


def session_call(model: onnx.ModelProto | Path) -> Callable[[], object]:
    """One run of a model on the CPU with one thread."""
    session = Device.of().open(model)
    feeds: Mapping[str, np.ndarray] = random_feeds(session)
    return lambda: session.run(None, dict(feeds))
