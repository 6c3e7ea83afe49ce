"""`decig check`: is a model as fast and as good as asked, compared with its reference?"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decig.data.ports import image_input
from decig.deploy.judges.panel import GIVEN, Files, Panel
from decig.deploy.likeness import Likeness, compare_pictures
from decig.deploy.side import Side
from decig.deploy.tolerances import Finding, Tolerances, judge, require_judges
from decig.device.measure.limits import measure_limits
from decig.device.measure.paired import Answer, PairedTimes, Patience, measure_pairs
from decig.device.measure.roofline import Roofline, compare, measure_roofline
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import BadInputError
from decig.graph.cost import count
from decig.graph.draws import drawing
from decig.graph.model import ValueInfo, input_info, output_info
from decig.source.source import Source
from decig.source.stamp import stamped_device

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """Result of a check; dictionaries have the keys reference and candidate.

    Attributes:
        times: of both models, from runs in turns.
        likeness: of their pictures.
        macs: multiply-accumulates of one run.
        params: parameters.
        faults: what never passes, one line each: pictures of the candidate that no right range
            leads to, and values that are no numbers.
        findings: what is to be said of each limit that was asked for.
        strict: whether a limit of which it cannot be told whether it is met counts as missed.
        from_bytes: whether the latency is from the bytes of an image to those of the picture, pre-
            and postprocessing included, because one of the models has them inside.
        roofline: the nodes of each model beside the limits of the device; None where they were
            not asked for, or the limits are not known.
        warnings: what the latencies do not say, one line each: that a file was exported for
            another device.
    """

    times: PairedTimes
    likeness: Likeness
    macs: dict[str, int]
    params: dict[str, int]
    faults: list[str]
    findings: list[Finding]
    strict: bool = False
    from_bytes: bool = False
    roofline: dict[str, Roofline] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def speedup(self) -> float:
        """How many times faster the candidate is."""
        return self.times.ratio

    @property
    def latency(self) -> dict[str, Latency]:
        """Latency of both models, under the keys reference and candidate."""
        return self.times.latency

    @property
    def failures(self) -> list[str]:
        """One line for each limit that was missed, and for whatever never passes."""
        missed = [Answer.MISSED, Answer.UNSURE] if self.strict else [Answer.MISSED]
        return [*self.faults, *(each.text for each in self.findings if each.answer in missed)]

    @property
    def doubts(self) -> list[str]:
        """One line for each limit of which it cannot be told whether it is met."""
        return [each.text for each in self.findings if each.answer is Answer.UNSURE]

    @property
    def passed(self) -> bool | None:
        """Whether every limit is met; None where none was asked for, or it cannot be told."""
        if self.failures:
            return False
        return True if self.findings and not self.doubts else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig check --json`."""
        found = {
            "latency_ms": {name: round(each.median_ms, 4) for name, each in self.latency.items()},
            "speedup": round(self.speedup, 4),
            **self.likeness.to_dict(),
            "macs": self.macs,
            "params": self.params,
            "passed": self.passed,
            "failures": self.failures,
            "limits": [finding.to_dict() for finding in self.findings],
            "runs": len(self.times.candidate_us),
            "disturbed": round(self.times.disturbed, 4),
        }
        if self.warnings:
            found["warnings"] = list(self.warnings)
        if self.from_bytes:
            found["latency_from_bytes"] = True
        if self.roofline is not None:
            found["roofline"] = compare(self.roofline["reference"], self.roofline["candidate"])
        return found


def check(
    candidate: Source,
    reference: Source,
    folder: Path | None,
    device: Device,
    tolerances: Tolerances,
    grid: Path | None = None,
    *,
    targets: Path | None = None,
    networks: Files | None = None,
    roofline: bool = False,
    strict: bool = False,
    patience: Patience | None = None,
) -> Verdict:
    """Compare latency and pictures of two models on a folder of images.

    Where the pixel format of only one model is known, it is taken to be that of the other, too.
    If one of them takes and gives bytes, both are compared from bytes to bytes: the other one
    together with its pre- and postprocessing.

    Args:
        candidate: the model to judge.
        reference: the model it should replace.
        folder: images, which are fitted to the models' input size; None where they take none.
        device: where both run.
        tolerances: what must be reached.
        grid: file for a grid of pictures: inputs, those of the reference, those of the candidate.
        targets: folder of real pictures, to which those of both models are compared.
        networks: files with further networks that judge the pictures.
        roofline: whether to measure the nodes of both, beside the limits of the device.
        strict: whether a limit of which it cannot be told whether it is met counts as missed.
        patience: how sure and how long the latencies are measured; the defaults where None.

    Raises:
        BadInputError: the models take or give different shapes, the pixel format is not known, no
            image is readable, a package is missing for what is asked, a file holds no network that
            judges pictures, the reference's pictures show that a range is stated wrongly, or the
            provider is not installed or has an option that does not go with pixels in a graph.
    """
    networks = networks or Files()
    require_judges(tolerances, targets, networks)
    candidate, reference = candidate.borrow(reference), reference.borrow(candidate)
    for source in (candidate, reference):
        source.require_ports()
    _require_alike(candidate, reference)
    for source in (reference, candidate):
        _tell_of_draws(source)
    from_bytes = candidate.pixel_io or reference.pixel_io
    if from_bytes:
        device.require_unbound()
    listed = []
    for source in (candidate, reference):
        listed.append(source.pictures(folder))
        source.require_picture()
    panel = _panel(reference, networks, tolerances)
    ours, theirs = (
        Side(source, pictures, device)
        for source, pictures in zip((candidate, reference), listed, strict=True)
    )
    likeness = compare_pictures(theirs, ours, panel=panel, targets=targets, grid=grid)
    if wrong := theirs.fault("the reference's"):
        raise BadInputError(f"{reference.model.path}: {wrong}")
    faults = [fault for fault in [ours.fault("the candidate's")] if fault]
    times = measure_pairs(
        device.undisturbed(theirs.timed(from_bytes)),
        device.undisturbed(ours.timed(from_bytes)),
        tolerances.of_latency,
        patience,
    )
    costs = {
        "reference": count(reference.model.proto),
        "candidate": count(candidate.model.proto),
    }
    verdict = Verdict(
        times,
        likeness,
        {name: cost.macs for name, cost in costs.items()},
        {name: cost.params for name, cost in costs.items()},
        faults + _spoilt({"reference": theirs, "candidate": ours}),
        judge(tolerances, times, likeness),
        strict,
        from_bytes,
        _roofline(reference, candidate, device) if roofline else None,
        _elsewhere(candidate, device),
    )
    for doubt in [] if strict else verdict.doubts:
        log.warning("cannot tell: %s", doubt)
    return verdict


def _panel(reference: Source, networks: Files, tolerances: Tolerances) -> Panel:
    """Open the networks that judge the pictures.

    Raises:
        BadInputError: a file holds no network for what it was given for, or not that of FID.
    """
    pixels = reference.require_pixels()
    height, width = pixels.size_of(reference.picture().shape)
    panel = Panel.open(networks, (height, width), pixels.labels)
    if tolerances.max_fid is not None and not panel.features[GIVEN].kind.fid:
        raise BadInputError(
            f"{networks.inception}: is not the network of FID (inception-2015-12-05.pt): its "
            "distances are no FID, which --max-fid limits"
        )
    return panel


def _tell_of_draws(source: Source) -> None:
    """Warn of a model that paints another picture in every run."""
    if nodes := drawing(source.model.proto):
        log.warning(
            "%s draws random numbers (%s %s%s): no two of its runs are alike; pictures are "
            "compared on fixed draws, the same where both models draw as many",
            source.model.path,
            nodes[0].op_type,
            nodes[0].name,
            f" and {len(nodes) - 1} more" if len(nodes) > 1 else "",
        )


def _elsewhere(candidate: Source, device: Device) -> tuple[str, ...]:
    """Say that a file was exported for another device, where its stamp says so."""
    planned = stamped_device(candidate.model.proto)
    reason = planned and device.fingerprint().difference(planned)
    if not reason:
        return ()
    what = f"{candidate.model.path}: exported for another device: {reason}"
    log.warning("%s; its latency there is not the one measured here", what)
    return (f"{what}; its latency there is not the one measured here",)


def _roofline(reference: Source, candidate: Source, device: Device) -> dict[str, Roofline] | None:
    limits = measure_limits(device)
    if limits is None:
        return None
    graphs = {"reference": reference.model.proto, "candidate": candidate.model.proto}
    return {name: measure_roofline(proto, proto, device, limits) for name, proto in graphs.items()}


def _require_alike(candidate: Source, reference: Source) -> None:
    """Check that both models take and give tensors of the same shapes.

    Where one of them takes and gives bytes, only batch, height and width must be the same.

    Raises:
        BadInputError: they are not.
    """
    inside = candidate.pixel_io or reference.pixel_io
    for what, describe, pick in (
        ("takes", input_info, _taken),
        ("gives", output_info, Source.picture),
    ):
        sources = (candidate, reference)
        shapes = [[i.shape for i in describe(source.model.proto)] for source in sources]
        sizes = [_size(source, pick(source).shape) if inside else [] for source in sources]
        if sizes[0] != sizes[1] or (not inside and shapes[0] != shapes[1]):
            ours, theirs = (", ".join("x".join(map(str, s)) for s in side) for side in shapes)
            raise BadInputError(
                f"{candidate.model.path} {what} {ours}, but {reference.model.path} {what} {theirs}"
            )


def _taken(source: Source) -> ValueInfo:
    return image_input(source.model.proto, source.pixels, source.feeds)


def _size(source: Source, shape: list[int]) -> list[int]:
    """Batch, height and width, which a model with pixels inside shares with one without."""
    pixels = source.require_pixels()
    return [shape[0], *pixels.size_of(shape)] if len(shape) == 4 else shape


def _spoilt(sides: Mapping[str, Side]) -> list[str]:
    """Describe pictures that hold values that are no numbers, which never pass."""
    return [
        f"the {name}'s pictures hold values that are no numbers: {side.spoilt}"
        for name, side in sides.items()
        if side.spoilt
    ]
