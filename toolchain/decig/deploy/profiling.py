"""`decig profile`: the cost table of a model as `decig export` would deploy it.

Exact rewrites change what a width costs: as phases, a wide head to RGB takes a third of its time.
A plan made from the graph as it is would cut in the wrong place, so the sweep sees the rewrites.
"""

from collections.abc import Callable
from dataclasses import replace

import onnx

from decig.deploy.rewriting import choose_rewrites, time_graphs
from decig.device.fingerprint import difference, fingerprint
from decig.device.profile import profile_model
from decig.device.session import DeviceOptions
from decig.device.table import CostTable
from decig.device.timing import Latency
from decig.graph import rewrite
from decig.graph.channels import analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

AS_IT_IS = "as_it_is_latency_us"
REWRITES = "rewrites"


def profile_as_deployed(
    model: Model, device: DeviceOptions, progress: Callable[[int, int], None]
) -> CostTable:
    """Profile a model with the rewrites that pay on the device.

    They are chosen at half its widths, nearer to what plans will keep than the whole model is.
    The table's `model` also holds their names and the latency of the model without them.

    Raises:
        BadInputError, DecigError: as `profile_model`.
    """
    choice = choose_rewrites(_half(model), device, any_size=model.axes is not None)
    rules = [*rewrite.CANONICAL, *choice.kept]

    def prepare(proto: onnx.ModelProto) -> onnx.ModelProto:
        return rewrite.apply(proto, rules)[0]

    table = profile_model(model, device, prepare=prepare, progress=progress)
    times = time_graphs({"as it is": model.proto, "deployed": prepare(model.proto)}, device)
    # The ratio of one run carries over to the table; milliseconds of two runs do not compare.
    slower = times["as it is"].median / times["deployed"].median
    as_it_is = replace(times["as it is"], median=table.latency_us.median * slower)
    entries = {REWRITES: rules, AS_IT_IS: as_it_is.to_dict()}
    return replace(table, model=table.model | entries)


def as_it_is_ms(table: CostTable) -> float:
    """Latency of the model without any rewrite: what a speedup is counted from.

    Raises:
        BadInputError: the table's figure is damaged.
    """
    found = table.model.get(AS_IT_IS)
    if found is None:
        return table.latency_us.median_ms
    return Latency.from_dict(found, f"cost table: model.{AS_IT_IS}").median_ms


def deployed_latency(table: CostTable, model: Model) -> Callable[[onnx.ModelProto], float] | None:
    """Return how to measure a slimmer version of a model as it would be deployed, in ms.

    It is timed in turns with the model itself and the ratio applied to the table's latency, so
    that whatever else the machine does slows both. None on another device than the table's.
    """
    here = DeviceOptions(
        table.device["provider"], table.device["provider_options"], table.device["threads"]
    )
    if difference(fingerprint(here), table.device) is not None:
        return None
    rules = table.model.get(REWRITES, [])
    whole = rewrite.apply(model.proto, rules)[0]

    def measure(proto: onnx.ModelProto) -> float:
        slim = rewrite.apply(proto, rules)[0]
        times = time_graphs({"whole": whole, "slim": slim}, here)
        return table.latency_us.median_ms * times["slim"].median / times["whole"].median

    return measure


def _half(model: Model) -> onnx.ModelProto:
    channels = analyse(model.proto)
    scores = magnitude_scores(model.proto, channels)
    widths = uniform_widths(channels, 0.5)
    return slice_graph(
        model.proto, channels, plan_from_widths(channels, widths, scores, model.sha256)
    )
