"""DepthToSpace as two transpositions of three axes.

Of input channels (i, j, c) and pixels (y, x), DepthToSpace makes channels c and pixels
(s y + i, s x + j): it moves j behind x, then i behind y. Each move swaps two neighbouring axes,

    [N s, s, C H W] -> [N s, C H W, s]      and      [N, s, C H, W s] -> [N, C H, s, W s]

(in CRD order, channels (c, i, j): [N C s, s, H W] and [N C, s, H, W s]). ONNX Runtime's CPU has
fast paths for such swaps; its DepthToSpace, a general transposition of six axes, takes two to
three times as long.
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import rule, shape_of


@rule("DepthToSpace", one_size=True)
def depth_to_space(graph: Editor, node: NodeProto) -> None:
    """Rewrite `node`, a DepthToSpace."""
    shape = shape_of(graph, node.input[0])
    s, (batch, channels, height, width) = attribute(node, "blocksize", 1), shape
    outputs = channels // (s * s)
    if attribute(node, "mode", b"DCR") == b"DCR":
        columns, rows = [batch * s, s, -1], [batch, s, outputs * height, width * s]
    else:
        columns, rows = [-1, s, height * width], [batch * outputs, s, height, width * s]
    final = [batch, outputs, height * s, width * s]
    name = node.name

    def reshape(what: str, source: str, target: str, shape: list[int]) -> NodeProto:
        constant = graph.add_constant(node, f"{what}_shape", np.array(shape))
        return helper.make_node("Reshape", [source, constant], [target], name=f"{name}/{what}")

    graph.insert_before(
        node,
        [
            reshape("columns", node.input[0], f"{name}/columns", columns),
            helper.make_node(
                "Transpose", [f"{name}/columns"], [f"{name}/wide"], name=name, perm=[0, 2, 1]
            ),
            reshape("rows", f"{name}/wide", f"{name}/rows", rows),
            helper.make_node(
                "Transpose",
                [f"{name}/rows"],
                [f"{name}/tall"],
                name=f"{name}/transpose_rows",
                perm=[0, 2, 1, 3],
            ),
            reshape("joined", f"{name}/tall", node.output[0], final),
        ],
    )
    graph.remove(node)
