"""What a compression writes down for `decig report` (`decig.records`), before and after training.

All of it is small. At the end, the student paints the held-out images once more.
"""

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np
import onnx
from PIL import Image

from decig import __version__, records
from decig.data.crops import fit
from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import Target
from decig.device.run.fingerprint import cpu_model
from decig.device.run.timing import missed
from decig.files import atomic_path, make_folder
from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from decig.quality.metrics import Likeness
from decig.records import (
    MILLION_MACS,
    MS,
    Group,
    Nodes,
    Picture,
    Pictures,
    Scored,
    Scores,
    Search,
    Session,
    Trial,
    Unit,
)
from decig.training.compression.job import Job
from decig.training.compression.planner import Found
from decig.training.compression.planner import Scores as ChannelScores
from decig.training.narrowing.hinge import find_hinge, read_norms

SHOWN, WORST = 12, 4
"""Held-out pictures that are kept, at most, and those of them that are least like the original's;
the others are spread evenly over the rest."""
_LONGEST_SIDE = 512
"""Pixels of a side of a picture that is kept, at most: larger ones are scaled down."""
_PACKAGES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "pillow",
    "scikit-image",
    "scipy",
    "torch",
    "accelerate",
)
"""Packages whose versions may change a result."""


def record_start(job: Job) -> None:
    """Write down that a process works on a run, with which versions; and what it begins with."""
    session = Session(
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{platform.node()}: {cpu_model()}, {platform.platform()}",
        versions=versions(),
        processes=job.processes.count,
    )
    records.add(job.run.path, records.SESSIONS_FILE, Session, [session])
    record_plans(job)
    if not any(map(job.run.done, ("plan.json", records.GROUPS_FILE))):
        teacher = job.teacher
        record_scores(
            job, "original", teacher.model.proto, teacher.channels, job.planner.importance
        )


def record_plans(job: Job) -> None:
    """Write down how the plans that were made so far were found."""
    counted = isinstance(job.goal.target, MacsTarget)
    searches = [_search(found, MILLION_MACS if counted else MS) for found in job.planner.found]
    records.add(job.run.path, records.PLANNING_FILE, Search, searches)
    if caveats := job.goal.target.caveats:  # another process may end this run
        job.run.add_warnings(caveats)


def record_scores(
    job: Job, graph: Scored, proto: onnx.ModelProto, channels: ChannelMap, scores: ChannelScores
) -> None:
    """Write down how much channels matter.

    Args:
        job: of the compression.
        graph: what was scored.
        proto: that graph.
        channels: its groups.
        scores: of their channels.
    """
    norms = read_norms(proto, channels) if graph == "trained" else {}
    groups = [
        Group(
            name=group.name,
            channels=group.channels,
            loss=[float(f"{value:.6g}") for value in scores.loss[group.name]],
            hinge=find_hinge(norms[group.name]) if norms else None,
        )
        for group in channels.prunable
    ]
    records.save(job.run.path, records.GROUPS_FILE, Scores(graph=graph, groups=groups))


def record_result(job: Job, student: onnx.ModelProto, figures: dict[str, Any]) -> dict[str, Any]:
    """Write down how long the nodes of a student take, and what its pictures are like.

    Args:
        job: of the compression.
        student: its result.
        figures: of the report so far.

    Returns:
        Further figures for the report: the spread of the latency of the original.
    """
    records.save(job.run.path, records.PICTURES_FILE, _pictures(job, student))
    target = job.goal.target
    if isinstance(target, MacsTarget):
        return {}
    nodes = _nodes(job, target, student, figures)
    if nodes is not None:
        records.save(job.run.path, records.NODES_FILE, nodes)
    table = target.table
    as_it_is = table.model.as_it_is_latency_us or table.latency_us
    return {"original_latency_us": as_it_is.to_dict()}


def versions() -> dict[str, str]:
    """Versions of Python and of every package that may change a result, by name."""
    found = {"decig": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _search(found: Found, unit: Unit) -> Search:
    target_ms, met = found
    trials = [
        Trial(
            widths=dict(trial.widths),
            loss=trial.loss,
            predicted_ms=trial.predicted_ms,
            doubt=trial.doubt,
            measured_ms=[each.median_ms for each in trial.measured],
            fits=not missed(trial.measured_ms if trial.measured else trial.predicted_ms, target_ms),
            chosen=trial is met.best,
        )
        for trial in met.trials
    ]
    return Search(target_ms=target_ms, trials=trials, unit=unit)


def _nodes(
    job: Job, target: Target, student: onnx.ModelProto, figures: dict[str, Any]
) -> Nodes | None:
    """Times of the nodes: those that were measured already, else measured now, else predicted.

    Whatever else the machine does slows both kinds of measurement. So the nodes are scaled to add
    up to the latency, which was timed between runs of the original, as they are in cost tables.
    """
    before = {node.name: node.latency_us for node in target.table.nodes}
    after: dict[str, float] = {}
    if "roofline" in figures:
        parts = figures["roofline"]["candidate"]["nodes"]
        after = {part["name"]: part["latency_us"] for part in parts}
    elif target.bench is not None and target.bench.learns:
        after = dict(target.bench.node_us(student))
    if total := sum(after.values()):
        scale = 1000 * figures["measured_latency_ms"] / total
        scaled = {name: round(us * scale, 1) for name, us in after.items()}
        return Nodes(measured=True, before=before, after=scaled)
    if not job.run.done("plan.json"):
        return None
    kept = Plan.load(job.run.file("plan.json")).keep
    widths = {name: len(channels) for name, channels in kept.items()}
    return Nodes(measured=False, before=before, after=target.predictor.node_us(widths))


def _pictures(job: Job, student: onnx.ModelProto) -> Pictures:
    """Compare the pictures of all held-out images, and keep some of them."""
    judge, examples = job.judge, job.examples.held_out
    painted, expected = judge.pictures(student), judge.expected
    each = len(expected) // len(examples)  # a model may paint a batch of every image
    alike = [
        Likeness.of(painted[place : place + each], expected[place : place + each])
        for place in range(0, len(expected), each)
    ]
    order = sorted(range(len(examples)), key=lambda place: alike[place].ssim)
    shown = {order[rank]: number for number, rank in enumerate(shown_ranks(len(order)), 1)}
    found = []
    for place in order:
        images: dict[str, np.ndarray] = {}
        if place in shown:
            images = {"original": expected[place * each], "compressed": painted[place * each]}
            if examples[place].images:
                images = {"input": _input(job, examples[place].images[0])} | images
        found.append(
            Picture(
                # Names of files may be of any bytes, and JSON holds text.
                name=examples[place].name.encode(errors="replace").decode(),
                ssim=alike[place].ssim,
                psnr_db=alike[place].psnr_db,
                files={
                    what: _keep(job, f"{shown[place]:02}-{what}.webp", image)
                    for what, image in images.items()
                },
            )
        )
    height, width = expected.shape[1:3]
    folder = job.examples.folder
    return Pictures(
        folder=None if folder is None else str(folder), height=height, width=width, pictures=found
    )


def shown_ranks(count: int) -> list[int]:
    """Which of so many pictures are kept, the worst being number 0."""
    if count <= SHOWN:
        return list(range(count))
    rest = np.linspace(WORST, count - 1, SHOWN - WORST)
    return [*range(WORST), *(int(rank) for rank in rest.round())]


def _input(job: Job, image: np.ndarray) -> np.ndarray:
    """Return what the model was fed of an image, 0..1 H,W,3, as people see it."""
    pixels = job.teacher.pixels
    shown = fit(image, *job.examples.size, resample=pixels.resample)
    if pixels.labels is not None:
        shown = pixels.labels.show(shown)
    return shown.astype(np.float32) / 255


def _keep(job: Job, name: str, image: np.ndarray) -> str:
    """Write a picture, 0..1 H,W,3 or H,W,4, into the run folder; returns its name there."""
    picture = Image.fromarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    make_folder(job.run.file(records.PICTURES_FOLDER))
    file = f"{records.PICTURES_FOLDER}/{name}"
    with atomic_path(job.run.file(file)) as temporary:
        picture.save(temporary, format="WEBP", lossless=True, method=4)
    return file
