"""The verdict of a run in words: what the report says first."""

from dataclasses import dataclass, field

from decig.device.run.fingerprint import Fingerprint
from decig.device.run.timing import Latency, missed
from decig.report.evidence import Change, Evidence, Figures
from decig.source.resolve import to_resume

MET, MISSED, OPEN = "met", "missed", "open"
_MARKS = {MET: "✓", MISSED: "✗", OPEN: "?"}
_PREFIXES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
_MINUTE = 60
_NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Tile:
    """A figure to read at a glance.

    Attributes:
        title: what it is.
        value: the figure.
        lines: what explains it.
    """

    title: str
    value: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """A version of the model, and how long it takes.

    Attributes:
        title: of the version.
        kind: "before", "after" or "target".
        ms: its latency, as text.
        times: how many times faster than the original, as text.
        share: of the longest latency, from 0 to 1.
    """

    title: str
    kind: str
    ms: str
    times: str
    share: str


@dataclass(frozen=True)
class Verdict:
    """What is said first.

    Attributes:
        headline: in a few words.
        state: whether the target was met: `MET`, `MISSED` or `OPEN`.
        mark: a sign of that.
        answer: the same in words.
        device: what it was measured on, in words.
        tiles: the figures.
    """

    headline: str
    state: str
    answer: str
    device: str
    tiles: list[Tile]

    @property
    def mark(self) -> str:
        """A sign of the state, for those who do not see colours."""
        return _MARKS[self.state]


def judge(evidence: Evidence) -> Verdict:
    """Put the figures of a run into words."""
    figures, device = evidence.figures, evidence.device
    state, answer = _answer(evidence)
    tiles = [_latency(evidence), _quality(evidence), *_size(figures), _training(evidence)]
    if device is not None:
        tiles.append(_device(device))
    where = device.computes if device is not None else "an unknown device"
    return Verdict(_headline(evidence), state, answer, where, [t for t in tiles if t is not None])


def stages(evidence: Evidence) -> list[Stage]:
    """The versions of the model on the way from the original to the result."""
    figures, table = evidence.figures, evidence.table
    original = _original_ms(evidence)
    if original is None:
        return []
    found = [("the original", "before", original)]
    if table is not None and table.model.as_it_is_latency_us is not None:
        found.append(("with exact rewrites alone", "before", table.latency_us.median_ms))
    if figures.measured_latency_ms is not None:
        found.append(("the result, measured", "after", figures.measured_latency_ms))
    elif figures.predicted_latency_ms is not None:
        found.append(("the result, predicted", "after", figures.predicted_latency_ms))
    if evidence.asked.target_ms is not None:
        found.append(("what was asked for", "target", evidence.asked.target_ms))
    longest = max(ms for _, _, ms in found)
    return [
        Stage(title, kind, f"{ms:.2f}", f"{original / ms:.2f}", f"{ms / longest:.4f}")
        for title, kind, ms in found
    ]


def spread(figures: Figures) -> str:
    """How far single runs were from the medians, in words; empty where that is not known."""
    parts = [
        f"{name}: half of {each.runs} runs within ±{each.mad / 1000:.2f} ms, nine of ten below "
        f"{each.p90 / 1000:.2f} ms"
        for name, each in (
            ("Original", figures.original_latency_us),
            ("Result", figures.measured_latency_us),
        )
        if each is not None
    ]
    return f"Medians. {'. '.join(parts)}." if parts else ""


def _original_ms(evidence: Evidence) -> float | None:
    if evidence.figures.original_latency_ms is not None:
        return evidence.figures.original_latency_ms
    return None if evidence.table is None else evidence.table.as_it_is_ms


def _result_ms(figures: Figures) -> float | None:
    measured = figures.measured_latency_ms
    return figures.predicted_latency_ms if measured is None else measured


def _headline(evidence: Evidence) -> str:
    original, result = _original_ms(evidence), _result_ms(evidence.figures)
    macs = evidence.figures.macs
    if not evidence.finished:
        return "This run has not finished"
    if evidence.for_no_device and macs is not None and macs.after:
        return f"{macs.before / macs.after:.2f} times fewer multiply-accumulates"
    if original is None or result is None:
        return "This run has no latency"
    was, now = (f"{ms:.1f}{_NO_BREAK}ms" for ms in (original, result))
    return f"{original / result:.2f} times faster: {was} became {now}"


def _answer(evidence: Evidence) -> tuple[str, str]:
    figures, target = evidence.figures, evidence.asked.target_ms
    if not evidence.finished:
        return OPEN, f"not finished: go on with {to_resume(evidence.folder)}"
    measured, wanted = figures.measured_latency_ms, evidence.asked.target_macs
    if wanted is not None:
        return OPEN, f"counted, not measured: {_short(wanted)} were asked for, for no device"
    if target is None:
        return OPEN, "no latency was asked for"
    if measured is None:
        return OPEN, f"predicted, not measured: {target:.2f} ms were asked for"
    if missed(measured, target):
        return MISSED, f"missed: {measured / target - 1:.1%} over the {target:.2f} ms asked for"
    return MET, f"met: {target:.2f} ms were asked for"


def _latency(evidence: Evidence) -> Tile | None:
    figures, original = evidence.figures, _original_ms(evidence)
    measured, now = figures.measured_latency_ms, _result_ms(figures)
    if now is None:
        return None
    lines = (
        ["predicted, not measured"] if measured is None else _within(figures.measured_latency_us)
    )
    if original is not None:
        lines.append(f"the original {original:.2f} ms")
        lines += _within(figures.original_latency_us)
    return Tile("Latency", f"{now:.2f} ms", lines)


def _within(latency: Latency | None) -> list[str]:
    if latency is None:
        return []
    return [f"±{latency.mad / 1000:.2f} ms in half of {latency.runs} runs"]


def _quality(evidence: Evidence) -> Tile | None:
    figures = evidence.figures
    if figures.ssim is None:
        return None
    lines = [f"PSNR {figures.psnr_db:.1f} dB"] if figures.psnr_db is not None else []
    if figures.held_out_images is not None:
        lines.append(f"to the original's, {figures.held_out_images} held-out pictures")
    if evidence.pictures is not None and evidence.pictures.pictures:
        lines.append(f"worst picture {evidence.pictures.pictures[0].ssim:.3f}")
    if figures.ssim_before_distilling is not None:
        lines.append(f"{figures.ssim_before_distilling:.3f} before training")
    return Tile("Likeness (SSIM, 1 is equal)", f"{figures.ssim:.3f}", lines)


def _size(figures: Figures) -> list[Tile]:
    tiles = []
    for title, change in (
        ("Parameters", figures.params),
        ("Multiply-accumulates", figures.macs),
    ):
        if change is not None:
            before = f"{_short(change.before)} before{_times(change)}"
            tiles.append(Tile(title, _short(change.after), [before]))
    if figures.file_bytes is not None and tiles:
        tiles[0].lines.append(f"file of {figures.file_bytes / 1e6:.2f} MB")
    return tiles


def _times(change: Change) -> str:
    return f", {change.before / change.after:.1f} times as many" if change.after else ""


def _short(number: float) -> str:
    """Write a number with three digits and a prefix: 1.23 M."""
    for unit, prefix in _PREFIXES:
        if number >= unit:
            return f"{number / unit:.3g}{prefix}"
    return f"{number:.0f}"


def _training(evidence: Evidence) -> Tile | None:
    figures = evidence.figures
    if figures.steps is None or figures.training_seconds is None:
        return None
    minutes, rest = divmod(round(figures.training_seconds), _MINUTE)
    took = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    lines = [f"{figures.steps:,} steps, method {evidence.asked.method or 'unknown'}"]
    if figures.ended_early:
        lines.append(f"ended early: {figures.ended_early}")
    return Tile("Training", took, lines)


def _device(device: Fingerprint) -> Tile:
    threads = f"{device.threads} thread{'s' if device.threads > 1 else ''}"
    name, bracket, details = device.computes.partition(" (")
    lines = [f"{bracket.strip()}{details}"] if details else []
    provider = device.provider.removesuffix("ExecutionProvider")
    lines += [f"{provider}, {threads}", f"ONNX Runtime {device.onnxruntime}, {device.machine}"]
    return Tile("Device", name, lines)
