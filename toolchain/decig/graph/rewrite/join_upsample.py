"""Nearest upsampling spelled out in moves of data, joined into one node.

    y[n, c, s i + a, s j + b]  =  x[n, c, i, j]        for all a, b in 0 ... s - 1

Exporters without an operator for it write Reshape, Concat of a value with itself, Expand or Tile.
Which pixel goes where is found by sending the numbers 0, 1, 2 ... through those nodes, so that
every spelling is recognised. With a single node, layers can fuse (`resize_into_transpose`).
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import NoMatch, rule, shape_of

_RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
_MOVES = (*_RESHAPING, "Concat", "Transpose", "Expand", "Tile")
_LONGEST = 8  # nodes from the small picture to the large one


@rule("Reshape", canonical=True, one_size=True)
def join_upsample(graph: Editor, node: NodeProto) -> None:
    """Join the moves that end with `node`, a Reshape to [N, C, s H, s W]."""
    target = shape_of(graph, node.output[0])
    if len(target) != 4:
        raise NoMatch("it makes no picture [N, C, H, W]")
    source = _small_picture(graph, node, target)
    if not graph.is_float(source):
        raise NoMatch(f"{source} is no float")
    small = shape_of(graph, source)
    factor = target[2] // small[2]
    pixels = np.arange(np.prod(small)).reshape(small)
    moved = _send(graph, node.output[0], source, pixels, _LONGEST + 1)
    if moved is None or not np.array_equal(moved, pixels.repeat(factor, 2).repeat(factor, 3)):
        raise NoMatch(f"the moves in front do not repeat every pixel of {source}")
    scales = graph.add_constant(node, "scales", np.array([1, 1, factor, factor], np.float32))
    inputs, attributes = [source, scales], {"mode": "nearest"}
    if graph.opset > 10:
        # Until operator set 13 a region of interest had to be there, even if nothing reads it.
        none = "" if graph.opset > 12 else graph.add_constant(node, "roi", np.zeros(0, np.float32))
        inputs.insert(1, none)
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    op_type = "Resize" if graph.opset > 9 else "Upsample"
    joined = helper.make_node(op_type, inputs, node.output, name=node.name, **attributes)
    graph.insert_before(node, [joined])
    graph.remove(node)
    graph.drop_dead()


def _small_picture(graph: Editor, node: NodeProto, target: tuple[int, ...]) -> str:
    """The value before the moves that end with `node`, of which `target` is an enlargement."""
    if graph.opset < 9:  # scales of Upsample were attributes
        raise NoMatch("Upsample takes its scales from opset 9 on")
    value: str = node.input[0]
    for _ in range(_LONGEST):
        shape = graph.shape(value)
        if shape is not None and _enlarged(shape, target):
            return value
        maker = graph.maker(value)
        if maker is None or maker.op_type not in _MOVES:
            break
        value = maker.input[0]
    raise NoMatch("the moves in front begin with no picture that is a whole factor smaller")


def _enlarged(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    if len(shape) != 4 or shape[:2] != target[:2] or not all(shape):
        return False
    factor = target[2] // shape[2]
    return factor > 1 and target[2:] == (shape[2] * factor, shape[3] * factor)


def _send(
    graph: Editor, value: str, source: str, pixels: np.ndarray, most: int
) -> np.ndarray | None:
    """What the moves make of `pixels` at `source` on the way to `value`.

    None if `value` comes from elsewhere too, or by more than `most` moves.
    """
    if value == source:
        return pixels
    maker, shape = graph.maker(value), graph.shape(value)
    if maker is None or shape is None or maker.op_type not in _MOVES or not most:
        return None
    count = len(maker.input) if maker.op_type == "Concat" else 1
    names = list(dict.fromkeys(maker.input[:count]))
    sent = {name: _send(graph, name, source, pixels, most - 1) for name in names}
    parts = [part for part in sent.values() if part is not None]
    if len(parts) < len(sent):
        return None
    if maker.op_type == "Concat":
        axis = attribute(maker, "axis", 0)
        return np.concatenate([sent[name] for name in maker.input], axis)
    (part,) = parts
    if maker.op_type == "Transpose":
        return part.transpose(attribute(maker, "perm", None))
    if maker.op_type == "Expand":
        return np.broadcast_to(part, shape)
    if maker.op_type == "Tile":
        repeats = graph.constant(maker.input[1])
        return None if repeats is None else np.tile(part, repeats.tolist())
    return part.reshape(shape)
