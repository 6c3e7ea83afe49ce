"""Recordings of graphs: what slicing and the exact rewrites make, and plans for a latency."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from place import FACADES, ROOT, Place, decig, milliseconds

KEEP = 0.5
_DIGITS = 16


def sliced(place: Place, model: Path) -> dict[str, Any]:
    """Half of every group of a model: as `decig slice` writes it, and with every exact rewrite."""
    from decig.graph import rewrite
    from decig.graph.model import load_model

    out = place.folder / "half.onnx"
    decig("slice", model, "--keep", KEEP, "--align", 1, "-o", out)
    rewritten = rewrite.apply(load_model(out).proto)
    return {"sliced": digests(onnx.load(out)), "rewritten": digests(rewritten[0])}


def plans(place: Place, table: str, speedups: Sequence[int]) -> dict[str, Any]:
    """Plans of models/facades-resunet by its weights alone, each with the graph it gives."""
    file = place.table_of_no_machine(ROOT / "profiles" / f"{table}.json")
    found = {}
    for speedup in speedups:
        out = place.folder / f"{speedup}.onnx"
        target = f"{milliseconds(file) / speedup:.6f}ms"
        asked = ("--target-latency", target, "--profile", file, "--force", "--json", "-o", out)
        figures = json.loads(decig("slice", FACADES, *asked))
        if "measured_latency_ms" in figures:
            raise AssertionError("a latency was measured: these plans would not come again")
        found[f"{speedup}x"] = {
            "widths": widths(kept_channels(onnx.load(out))),
            "predicted_latency_ms": figures["predicted_latency_ms"],
            **digests(onnx.load(out)),
        }
    return found


def kept_channels(proto: onnx.ModelProto) -> dict[str, list[int]]:
    """The plan that is stamped into a file: indices that stay, by group."""
    stamp = {entry.key: entry.value for entry in proto.metadata_props}
    keep: dict[str, list[int]] = json.loads(stamp["decig.plan"])["keep"]
    return keep


def widths(keep: dict[str, list[int]]) -> dict[str, int]:
    """How many channels of each group stay."""
    return {name: len(indices) for name, indices in sorted(keep.items())}


def digests(proto: onnx.ModelProto) -> dict[str, str]:
    """Digests of a graph's structure and of its weights; not of the file's bytes."""
    return {"structure": structure(proto), "weights": weights(proto)}


def structure(proto: onnx.ModelProto) -> str:
    """Digest of the nodes, in the order of their names, and of the types of every constant."""
    graph = proto.graph
    nodes = [
        [node.name, node.domain, node.op_type, list(node.input), list(node.output), _of(node)]
        for node in graph.node
    ]
    constants = [[t.name, t.data_type, list(t.dims)] for t in graph.initializer]
    ends = [[_value(value) for value in side] for side in (graph.input, graph.output)]
    opsets = sorted([entry.domain, entry.version] for entry in proto.opset_import)
    return _digest([json.dumps([sorted(nodes), sorted(constants), ends, opsets]).encode()])


def weights(proto: onnx.ModelProto) -> str:
    """Digest of the bytes of every initializer, in the order of their names."""
    parts = []
    for tensor in sorted(proto.graph.initializer, key=lambda each: each.name):
        array = np.ascontiguousarray(numpy_helper.to_array(tensor))
        parts += [f"{tensor.name} {array.dtype} {array.shape} ".encode(), array.tobytes()]
    return _digest(parts)


def _of(node: onnx.NodeProto) -> list[Any]:
    return sorted([a.name, str(onnx.helper.get_attribute_value(a))] for a in node.attribute)


def _value(value: onnx.ValueInfoProto) -> list[Any]:
    tensor = value.type.tensor_type
    dims = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
    return [value.name, tensor.elem_type, dims]


def _digest(parts: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:_DIGITS]
