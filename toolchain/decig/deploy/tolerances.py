"""What a candidate must reach in a check, and what it missed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from decig.deploy.judges.panel import GIVEN, OWN, Files
from decig.deploy.likeness import Likeness
from decig.device.run.timing import Latency
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


def missed(asked: Tolerances, latency: Mapping[str, Latency], likeness: Likeness) -> list[str]:
    """Describe each tolerance that was missed."""
    found = []
    unread, most = len(likeness.skipped), asked.max_unreadable
    if most is not None and unread > most:
        found.append(f"{unread} images are unreadable, at most {most} may be (--max-unreadable)")
    ms, limit = latency["candidate"].median_ms, asked.max_latency_ms
    if limit is not None and ms > limit:
        found.append(f"latency {ms:.3f} ms is over {limit:g} ms (--max-latency)")
    labels = likeness.segmentation
    iou = math.nan if labels is None else labels.agreement["candidate"].mean_iou
    for value, wanted, what, option in (
        (speedup(latency), asked.min_speedup, "speedup", "--min-speedup"),
        (likeness.pairs.ssim, asked.min_ssim, "SSIM", "--min-ssim"),
        (likeness.pairs.psnr_db, asked.min_psnr_db, "PSNR in dB", "--min-psnr"),
        (iou, asked.min_iou, "mean IoU", "--min-iou"),
    ):
        if wanted is not None and not value >= wanted:
            found.append(f"{what} {value:.4g} is under {wanted:g} ({option})")
    return found + _far(asked, likeness)


def _far(asked: Tolerances, likeness: Likeness) -> list[str]:
    """Describe each distance that is over its tolerance, or that so few pictures do not give."""
    distances, whose = likeness.distances, _TO_REFERENCE
    if likeness.real is not None:
        distances = {name: each["candidate"] for name, each in likeness.real.distances.items()}
        whose = _TO_REAL
    found = []
    for limit, what, option, features in (
        (asked.max_kid, "KID", "--max-kid", OWN),
        (asked.max_fid, "FID", "--max-fid", GIVEN),
    ):
        if limit is None:
            continue
        far = distances[features].distance
        value = far.kid if features == OWN else far.frechet_distance
        if math.isnan(value):
            found.append(
                f"{what} to {whose} is not defined: it takes two pictures and more ({option})"
            )
        elif value > limit:
            found.append(f"{what} {value:.4g} to {whose} is over {limit:g} ({option})")
    lpips, limit = likeness.pairs.lpips, asked.max_lpips
    if lpips is not None and limit is not None and not lpips <= limit:
        found.append(f"LPIPS {lpips:.4g} to {_TO_REFERENCE} is over {limit:g} (--max-lpips)")
    return found


def speedup(latency: Mapping[str, Latency]) -> float:
    """How many times faster the candidate is."""
    return latency["reference"].median / latency["candidate"].median
