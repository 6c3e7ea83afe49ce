"""`decig compress`: from a trained generator and a cost table to a slim student."""

from typing import Any

from decig.progress import Progress
from decig.train.fold_norms import fold_norms
from decig.train.job import Job
from decig.train.request import Request
from decig.train.run import RunFolder
from decig.train.stages import condense, distil, slice_and_repair


def compress(request: Request, progress: Progress) -> dict[str, Any]:
    """Run the steps whose files are missing from the run folder; returns report.json.

    Raises:
        BadInputError: the table is of another graph, images do not fit, the run folder is taken.
        TargetMissedError: no plan reaches the target; the message names the fastest.
        DecigError: training failed; the state is kept.
    """
    job = Job(request, progress)
    if not request.resume:
        _ = job.plan  # an unreachable target ends here, before any file is written
    run = RunFolder.open(request.output_dir, request.record(), resume=request.resume)
    if request.settings.condense and not run.done("condensed.onnx"):
        condense(job, run)
    if not run.done("start.onnx"):
        slice_and_repair(job, run)
    distilled = "distilled.onnx" if request.fold_norms else "student.onnx"
    if not run.done(distilled):
        distil(job, run)
    if not run.done("student.onnx"):
        fold_norms(job, run)
    run.finish()
    figures = {"rewrites": list(request.device.rewrites)}
    return run.add_figures(figures | _roofline(request, run) | _warnings(request))


def preview(request: Request) -> dict[str, Any]:
    """Plan without training and without writing anything (`--dry-run`)."""
    job = Job(request, lambda *_: None)
    widths = {name: len(kept) for name, kept in job.plan.keep.items()}
    return {
        "widths": widths,
        "channels": {group.name: group.channels for group in job.channels.prunable},
        "predicted_latency_ms": job.predictor.predict_ms(widths),
    } | _warnings(request)


def _roofline(request: Request, run: RunFolder) -> dict[str, Any]:
    bench = request.device.bench
    found = None if bench is None else bench.roofline(run.load_graph("student.onnx").proto)
    return {} if found is None else {"roofline": found}


def _warnings(request: Request) -> dict[str, Any]:
    return {"warnings": list(request.device.warnings)} if request.device.warnings else {}
