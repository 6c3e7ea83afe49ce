"""What a channel group is to a person: its layers, its place in the network, short names.

The nodes of a graph have long names and an order that helps no reader. So groups that follow each
other at one picture size are gathered into stages, and each group says which layers make it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import onnx

from decig.graph.channels import ChannelMap, layer_name
from decig.graph.flow import Binding, attributes
from decig.graph.model import shapes
from decig.graph.operators import Kind, find

_LONGEST = 30
"""Characters of a name in a table."""
_SEPARATORS = "/.:"
"""Characters at which the names of exporters are made of parts."""

Size = tuple[int, ...]


@dataclass(frozen=True)
class Anatomy:
    """The layers of one channel group.

    Attributes:
        layers: number of layers of each kind that make or scale its channels, in graph order.
        made_by: names of the layers that make its channels.
        read_by: names of the layers that read its channels.
        size: height and width of the tensor in which they are made; () where that is no picture.
    """

    layers: dict[str, int]
    made_by: list[str]
    read_by: list[str]
    size: Size


@dataclass(frozen=True)
class Stage:
    """Groups that follow each other at one picture size.

    Attributes:
        size: that height and width; () where there is no picture.
        groups: their names, in graph order.
    """

    size: Size
    groups: list[str]


def anatomies(proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, Anatomy]:
    """Describe the layers of every group, by the name of the group."""
    nodes = {node.name: node for node in proto.graph.node}
    known = shapes(proto)
    owners = {int(label): group.name for group in channels.groups for label in group.classes}
    uses: dict[str, list[Binding]] = {group.name: [] for group in channels.groups}
    for binding in channels.bindings:
        labels = channels.classes_of(binding.ids).ravel()
        for owner in dict.fromkeys(owners.get(int(label)) for label in labels):
            if owner is not None:
                uses[owner].append(binding)
    return {name: _anatomy(found, nodes, known) for name, found in uses.items()}


def _anatomy(
    uses: list[Binding], nodes: dict[str, onnx.NodeProto], known: dict[str, Size]
) -> Anatomy:
    made = [u for u in uses if u.role == "write"] or [u for u in uses if u.role != "read"]
    around = dict.fromkeys(use.node for use in uses if use.role != "read")
    layers = Counter(layer_of(nodes[name], known) for name in around)
    # A tensor of 4 axes is a picture; what linear layers make, such as a code, is none.
    found = [known.get(nodes[use.node].output[0], ()) for use in made]
    sizes = [shape[2:] for shape in found if len(shape) == 4]
    read = [use for use in uses if use.role == "read"]
    return Anatomy(dict(layers), _names(made), _names(read), sizes[0] if sizes else ())


def _names(uses: list[Binding]) -> list[str]:
    return list(dict.fromkeys(layer_name(use) for use in uses))


def layer_of(node: onnx.NodeProto, known: dict[str, Size]) -> str:
    """Name a layer as people do: Conv 3x3 /2, depthwise Conv 3x3, linear, InstanceNorm."""
    entry = find(node)
    name = entry.title or node.op_type
    weight = known.get(node.input[1], ()) if len(node.input) > 1 else ()
    if entry.kind is not Kind.CONVOLUTION or len(weight) < 3:
        return name
    options = attributes(node)
    name += f" {by(weight[2:])}"
    if max(options.get("strides", [1])) > 1:
        name += f" {'x' if entry.transposed else '/'}{max(options['strides'])}"
    group = options.get("group", 1)
    if group > 1:
        inputs = known.get(node.input[0], (0, 0))[1]
        name = f"depthwise {name}" if group == inputs else f"{name} in {group} groups"
    return name


def layer_names(channels: ChannelMap) -> dict[str, str]:
    """Names that people know layers by, by the names of their nodes, where those differ."""
    names: dict[str, str] = {}
    for binding in channels.bindings:
        if (name := layer_name(binding)) != binding.node:
            names.setdefault(binding.node, name)
    return names


def stages(groups: Sequence[str], found: dict[str, Anatomy]) -> list[Stage]:
    """Gather groups, in graph order, into stages.

    A group whose channels are no picture belongs to the stage in which it stands.
    """
    gathered: list[Stage] = []
    for group in groups:
        size = found[group].size
        flat = not size or max(size) == 1
        if gathered and (flat or _alike(size, gathered[-1].size)):
            gathered[-1].groups.append(group)
        elif gathered and not gathered[-1].size:
            gathered[-1] = Stage(size, [*gathered[-1].groups, group])
        else:
            gathered.append(Stage(() if flat else size, [group]))
    return gathered


def _alike(size: Size, other: Size) -> bool:
    """Whether two sizes differ by no more than a border that is cropped or padded."""
    return len(size) == len(other) and all(
        abs(a - b) <= max(2, max(a, b) // 32) and 2 * min(a, b) > max(a, b)
        for a, b in zip(size, other, strict=True)
    )


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Shorten names for a table: without the path that all share, and long ones without a middle.

    No two become the same.
    """
    full = list(names)
    common = ""
    if len(full) > 1:
        first, last = min(full), max(full)  # what these two share, all share
        same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        common = "".join(letter for letter, _ in same)
    cut = max((common.rfind(mark) for mark in _SEPARATORS), default=-1) + 1
    short = {name: _clipped(name[cut:] or name) for name in full}
    twice = {text for text, count in Counter(short.values()).items() if count > 1}
    return {name: name if text in twice else text for name, text in short.items()}


def _clipped(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    tail = (2 * _LONGEST) // 3
    return f"{name[: _LONGEST - tail - 1]}…{name[-tail:]}"


def by(size: Iterable[int]) -> str:
    """Write a size: 256x256."""
    return "x".join(map(str, size))
