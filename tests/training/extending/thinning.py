"""A method: the same share of every channel group stays, by magnitude; then distil.

Its settings stand in the table [thinning].
"""

from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.schema import Share, WrittenByHand
from decig.training.compression.distilling import distil
from decig.training.methods import Step


class Settings(WrittenByHand, frozen=True):
    keep: Share = 0.5


def steps(job):
    return [
        Step("cut", ("plan.json", "start.onnx"), lambda _: _cut(job), alone=True),
        Step("distil", ("student.onnx",), lambda budget: _distil(job, budget), share=1.0),
    ]


def _cut(job):
    model, channels = job.teacher.model, job.teacher.channels
    widths = uniform_widths(channels, job.settings(Settings).keep)
    scores = magnitude_scores(model.proto, channels)
    plan = plan_from_widths(channels, widths, scores, model.sha256)
    plan.save(job.run.file("plan.json"))
    job.run.save_graph("start.onnx", slice_graph(model.proto, channels, plan))


def _distil(job, budget):
    start = job.run.load_graph("start.onnx").proto
    distil(job, start, budget, "distil.pt", "student.onnx")
