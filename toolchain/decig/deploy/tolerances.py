"""What a candidate must reach in a check, and whether it does."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decig.deploy.judges.panel import GIVEN, OWN, Files
from decig.deploy.likeness import Likeness
from decig.device.measure.paired import Answer, Interval, Limits, PairedTimes
from decig.errors import BadInputError
from decig.quality.features import require_features

_TO_REFERENCE, _TO_REAL = "the reference's pictures", "the real pictures"


@dataclass(frozen=True)
class Tolerances:
    """What the candidate must reach; None asks for nothing.

    Attributes:
        max_latency_ms: greatest latency, in milliseconds.
        min_speedup: how many times faster than the reference, at least.
        min_ssim: least SSIM to the reference's pictures.
        min_psnr_db: least PSNR to them, in dB.
        max_kid: greatest KID, the squared kernel distance of features: to the real pictures where
            they are given, to the reference's otherwise.
        max_fid: greatest FID, to the same pictures as `max_kid`.
        max_lpips: greatest LPIPS to the reference's pictures.
        min_iou: least mean IoU of the labels found in the pictures and the label maps.
        max_unreadable: most images that may be unreadable, and so not compared.
    """

    max_latency_ms: float | None = None
    min_speedup: float | None = None
    min_ssim: float | None = None
    min_psnr_db: float | None = None
    max_kid: float | None = None
    max_fid: float | None = None
    max_lpips: float | None = None
    min_iou: float | None = None
    max_unreadable: int | None = None

    @property
    def asked(self) -> bool:
        """Whether anything is asked for."""
        return self != Tolerances()

    @property
    def of_latency(self) -> Limits:
        """What is asked of the latency."""
        return Limits(self.min_speedup, self.max_latency_ms)


def require_judges(tolerances: Tolerances, targets: Path | None, networks: Files) -> None:
    """Check that what is asked for can be computed: packages are installed, networks are given.

    Figures that need a package are left out without it, unless one of these options asks for one.

    Raises:
        BadInputError: something is missing; the message names the option and what it needs.
    """
    if targets is not None and networks.inception is None:
        require_features("--targets")
    if tolerances.max_kid is not None:
        require_features("--max-kid")
    for limit, option, file, needed in (
        (tolerances.max_fid, "--max-fid", networks.inception, "--inception"),
        (tolerances.max_lpips, "--max-lpips", networks.lpips, "--lpips"),
        (tolerances.min_iou, "--min-iou", networks.segmenter, "--segmenter"),
    ):
        if limit is not None and file is None:
            raise BadInputError(f"{option} needs {needed} FILE: decig brings no such network")


@dataclass(frozen=True)
class Finding:
    """What a check says of one limit.

    Attributes:
        option: that sets the limit, such as "--min-ssim".
        answer: whether it is met; of a latency that may not be told.
        text: the same in one line, for people.
        limit: what was asked for.
        value: what was found; NaN where it is not defined.
        interval: where the value surely is; None for what is no latency, and has no doubt.
    """

    option: str
    answer: Answer
    text: str
    limit: float
    value: float
    interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the limit in `decig check --json`."""
        found: dict[str, Any] = {
            "option": self.option,
            "answer": self.answer.value,
            "limit": self.limit,
            "value": None if math.isnan(self.value) else round(self.value, 6),
        }
        if self.interval is not None:
            ends = (self.interval.low, self.interval.high)
            found["interval"] = [round(end, 6) if math.isfinite(end) else None for end in ends]
        return found


def judge(asked: Tolerances, times: PairedTimes, likeness: Likeness) -> list[Finding]:
    """Say of every limit that was asked for whether it is met."""
    found = list(_timing(asked, times))
    real = [] if likeness.real is None else likeness.real.skipped
    unread, most = len(likeness.skipped) + len(real), asked.max_unreadable
    if most is not None:
        answer = Answer.MISSED if unread > most else Answer.MET
        text = f"{unread} images are unreadable, at most {most} may be (--max-unreadable)"
        found.append(Finding("--max-unreadable", answer, text, most, unread))
    labels = likeness.segmentation
    iou = math.nan if labels is None else labels.agreement["candidate"].mean_iou
    for value, wanted, what, option in (
        (likeness.pairs.ssim, asked.min_ssim, "SSIM", "--min-ssim"),
        (likeness.pairs.psnr_db, asked.min_psnr_db, "PSNR in dB", "--min-psnr"),
        (iou, asked.min_iou, "mean IoU", "--min-iou"),
    ):
        if wanted is not None:
            found.append(_at_least(value, wanted, what, option))
    return found + list(_distances(asked, likeness))


def _timing(asked: Tolerances, times: PairedTimes) -> Iterator[Finding]:
    """Say of the limits of the latency whether they are met, as far as that is sure."""
    if (limit := asked.max_latency_ms) is not None:
        ms, interval = times.latency["candidate"].median_ms, times.latency_ms
        answer = interval.at_most(limit)
        text = f"latency {ms:.3f} ms {_relation(answer, 'over')} {limit:g} ms (--max-latency)"
        yield Finding("--max-latency", answer, text + _span(interval), limit, ms, interval)
    if (limit := asked.min_speedup) is not None:
        ratio, interval = times.ratio, times.speedup
        answer = interval.at_least(limit)
        text = f"speedup {ratio:.4g} {_relation(answer, 'under')} {limit:g} (--min-speedup)"
        yield Finding("--min-speedup", answer, text + _span(interval), limit, ratio, interval)


def _relation(answer: Answer, beyond: str) -> str:
    """What stands between a value and its limit."""
    told = {Answer.MET: f"is not {beyond}", Answer.MISSED: f"is {beyond}"}
    return told.get(answer, "cannot be told from")


def _span(interval: Interval) -> str:
    """Where a value surely is."""
    if not math.isfinite(interval.low):
        return ", too few runs to tell"
    return f", surely between {interval.low:.4g} and {interval.high:.4g}"


def _at_least(value: float, limit: float, what: str, option: str) -> Finding:
    met = value >= limit  # NaN fails every comparison
    text = f"{what} {value:.4g} is {'not ' if met else ''}under {limit:g} ({option})"
    return Finding(option, Answer.MET if met else Answer.MISSED, text, limit, value)


def _at_most(value: float, limit: float, what: str, option: str) -> Finding:
    met = value <= limit
    text = f"{what} is {'not ' if met else ''}over {limit:g} ({option})"
    return Finding(option, Answer.MET if met else Answer.MISSED, text, limit, value)


def _distances(asked: Tolerances, likeness: Likeness) -> Iterator[Finding]:
    """Say of each limit of a distance whether it is met; one that is not defined is missed."""
    distances, whose = likeness.distances, _TO_REFERENCE
    if likeness.real is not None:
        distances = {name: each["candidate"] for name, each in likeness.real.distances.items()}
        whose = _TO_REAL
    for limit, what, option, features in (
        (asked.max_kid, "KID", "--max-kid", OWN),
        (asked.max_fid, "FID", "--max-fid", GIVEN),
    ):
        if limit is None:
            continue
        far = distances[features].distance
        value = far.kid if features == OWN else far.frechet_distance
        if math.isnan(value):
            text = f"{what} to {whose} is not defined: it takes two pictures and more ({option})"
            yield Finding(option, Answer.MISSED, text, limit, value)
        else:
            yield _at_most(value, limit, f"{what} {value:.4g} to {whose}", option)
    lpips, limit = likeness.pairs.lpips, asked.max_lpips
    if lpips is not None and limit is not None:
        yield _at_most(lpips, limit, f"LPIPS {lpips:.4g} to {_TO_REFERENCE}", "--max-lpips")
