"""Kernel times of the graph that ONNX Runtime runs, charged to the nodes of the original graph.

At full optimisation ONNX Runtime renames, fuses and inserts nodes. Observed in version 1.31:

- A fused Conv keeps the node name of the Conv and takes over the output of the last node that was
  fused into it (BatchNormalization, activation, residual Add).
- A Conv or pool in the blocked layout (NCHWc) is called `<value>_nchwc`, after the value that was
  its output when the layout was chosen: the output of the activation, where one was fused before.
  Its own output has a new name; the known value reappears only behind a ReorderOutput.
- ReorderInput and ReorderOutput translate between layouts. They exist because a blocked node
  needs them: a ReorderInput is charged to the node that reads its result, a ReorderOutput to the
  node whose result it reads.
- Pads and transposes vanish into their neighbours; patterns (Gelu, LayerNormalization) become
  one node whose output keeps the name of the last value.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

_BLOCKED = re.compile(r"^(?P<value>.+)_nchwc(_token_\d+)?$")
_REORDERS = ("ReorderInput", "ReorderOutput")
_TIME_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Attribution:
    """Which original node is charged for which node that runs.

    Attributes:
        owner: node of the optimised graph to the original node that is charged for it.
        absorbed: original node that vanished to the original node that took over its work.
    """

    owner: dict[str, str]
    absorbed: dict[str, str]

    def charge(self, kernels: dict[str, float]) -> dict[str, float]:
        """Sum times of optimised nodes (any unit) by original node; vanished nodes cost 0."""
        charged = dict.fromkeys(self.owner.values(), 0.0) | dict.fromkeys(self.absorbed, 0.0)
        for name, spent in kernels.items():
            if name in self.owner:
                charged[self.owner[name]] += spent
        return charged


def kernel_times(profile: Path, skip_runs: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Read an ONNX Runtime profile.

    Args:
        profile: the JSON file that `session.end_profiling()` names.
        skip_runs: warm-up runs at the start to leave out.

    Returns:
        Microseconds of each kernel by node name, [runs], and of the whole runs, [runs].
    """
    kernels: dict[str, list[float]] = {}
    whole: list[float] = []
    for event in json.loads(profile.read_bytes()):
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(_TIME_SUFFIX):
            kernels.setdefault(name.removesuffix(_TIME_SUFFIX), []).append(event["dur"])
        elif name == "model_run":
            whole.append(event["dur"])
    times = {name: np.asarray(spent[skip_runs:], float) for name, spent in kernels.items()}
    return times, np.asarray(whole[skip_runs:], float)


def attribute(
    original: Iterable[str], run: onnx.ModelProto, optimised: onnx.ModelProto
) -> Attribution:
    """Charge every node of `optimised` to an original node.

    Args:
        original: names of the nodes that may be charged.
        run: the graph given to ONNX Runtime, every node named. A node that is not original
            belongs to the original one with which its name starts ("<original>/<suffix>"), else to
            a neighbour.
        optimised: the graph as ONNX Runtime runs it (`optimised_path` of `Device.open`).
    """
    graph = _Graph(run)
    owner, absorbed = _match(graph, optimised)
    _charge_inserted(owner, optimised)
    _absorb_vanished(graph, set(owner.values()), absorbed)
    name_of = _original_names(graph, set(original))
    return Attribution(
        {kernel: name_of[paying] for kernel, paying in owner.items()},
        {name: name_of[host] for name, host in absorbed.items() if name_of[name] == name},
    )


class _Graph:
    """Which node makes each value, and which nodes read it."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.nodes = {node.name: node for node in proto.graph.node}
        self.rank = {name: index for index, name in enumerate(self.nodes)}
        self.producer = {out: node.name for node in proto.graph.node for out in node.output if out}
        self.consumers: dict[str, list[str]] = {}
        for node in proto.graph.node:
            for value in node.input:
                self.consumers.setdefault(value, []).append(node.name)

    def before(self, name: str) -> list[str]:
        """Nodes whose outputs the node reads."""
        return [self.producer[v] for v in self.nodes[name].input if v in self.producer]

    def after(self, name: str) -> list[str]:
        """Nodes that read the node's outputs."""
        return [n for v in self.nodes[name].output for n in self.consumers.get(v, [])]


def _match(graph: _Graph, optimised: onnx.ModelProto) -> tuple[dict[str, str], dict[str, str]]:
    """Match optimised nodes by node name, else by the value they are named after or put out.

    Returns:
        Optimised node to node of `graph`; node of `graph` to the one it was fused into.
    """
    owner = {node.name: node.name for node in optimised.graph.node if node.name in graph.nodes}
    absorbed: dict[str, str] = {}
    for node in optimised.graph.node:
        blocked = _BLOCKED.match(node.name)
        value = blocked["value"] if blocked else node.output[0]
        if node.op_type in _REORDERS or value not in graph.producer:
            continue
        taken = set(owner.values()) - {owner.get(node.name)}
        covered = _covered(graph, value, set(node.input), taken)
        if not covered:
            continue
        kin = [name for name in covered if graph.nodes[name].op_type == node.op_type]
        main = owner.setdefault(node.name, (kin or covered)[0])
        if blocked:  # what it reads has no known name: only the nodes down from `main` are sure
            covered = covered[: covered.index(main)] if main in covered else []
        absorbed |= {name: main for name in covered if name != main}
    return owner, absorbed


def _covered(graph: _Graph, value: str, inputs: set[str], taken: set[str]) -> list[str]:
    """Nodes that compute `value` from `inputs`, the last first, short of those `taken`."""
    covered: list[str] = []
    queue = [value]
    while queue:
        value = queue.pop(0)
        name = graph.producer.get(value)
        if name is None or value in inputs or name in taken or name in covered:
            continue
        covered.append(name)
        queue.extend(graph.nodes[name].input)
    return covered


def _charge_inserted(owner: dict[str, str], optimised: onnx.ModelProto) -> None:
    """Charge reorders, transposes and copies that ONNX Runtime put in to the node they serve."""
    graph = _Graph(optimised)
    waiting = [name for name in graph.nodes if name not in owner]
    while waiting:
        for name in waiting:
            before, after = graph.before(name), graph.after(name)
            wrote_first = graph.nodes[name].op_type == "ReorderOutput"
            candidates = before + after if wrote_first else after + before
            paying = next((owner[other] for other in candidates if other in owner), None)
            if paying is not None:
                owner[name] = paying
        left = [name for name in waiting if name not in owner]
        if len(left) == len(waiting):
            return
        waiting = left


def _absorb_vanished(graph: _Graph, paying: set[str], absorbed: dict[str, str]) -> None:
    """Find a host for every node that has no kernel of its own and was not seen in a fusion."""
    hosts = {name: name for name in paying} | absorbed
    # A Pad becomes an attribute of its reader; everything else ends what comes before it.
    enders = [name for name, node in graph.nodes.items() if node.op_type != "Pad"]
    _spread(graph, hosts, enders, graph.before)
    _spread(graph, hosts, list(graph.nodes)[::-1], graph.after)
    absorbed |= {name: host for name, host in hosts.items() if name not in paying}


def _original_names(graph: _Graph, original: set[str]) -> dict[str, str]:
    """Find the original node to which each node of `graph` belongs."""
    names = {}
    for name in graph.nodes:
        stem = name
        while stem not in original and "/" in stem:
            stem = stem.rpartition("/")[0]
        if stem in original:
            names[name] = stem
    _spread(graph, names, list(graph.nodes), graph.before)
    _spread(graph, names, list(graph.nodes)[::-1], graph.after)
    return names


def _spread(
    graph: _Graph,
    labels: dict[str, str],
    names: list[str],
    neighbours: Callable[[str], list[str]],
) -> None:
    """Give each unlabelled node of `names` the label of the latest of its labelled neighbours."""
    for name in names:
        labelled = [other for other in neighbours(name) if other in labels]
        if name not in labels and labelled:
            labels[name] = labels[max(labelled, key=graph.rank.__getitem__)]
