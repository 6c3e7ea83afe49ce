"""An ONNX graph as a trainable `torch.fx.GraphModule`, and the trained weights back as a graph.

Every ONNX node becomes one call, or a few: `print(module.code)` shows the network. Whatever the
graph fixes is resolved when the module is built, so a training step takes as long as that of a
hand-written module. The module also runs at other batch and picture sizes than the declared ones,
unless a node has them baked in; see `decig.training.ops.sizes`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, fx, nn

from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.meanings import require_trainable
from decig.graph.model import initializers, opset, replace_initializers
from decig.training.ops import BATCH, EXTENT, Input, OpNode, Tracer, Value, translate

_NAMES = "initializers"
"""Key of the module's `meta`, which copies carry along: attribute to initializer name."""


def build_module(
    proto: onnx.ModelProto,
    outputs: list[str] | None = None,
    input_size: tuple[int, ...] | None = None,
    *,
    fixed_statistics: bool = False,
) -> fx.GraphModule:
    """Turn a graph in normal form (`decig.graph.model.load_model`) into a module.

    Args:
        proto: the graph. Float initializers that a convolution, a matrix product, a
            normalisation or PRelu uses become `nn.Parameter`s; so do those in elementwise
            operators that have one number per channel, or axes that are bound to channels (the
            weights of a modulated convolution, learned maps). Running statistics and other
            constants become buffers; single numbers, shapes and axes are part of the code.
        outputs: names of the values to return, inner ones too; by default the graph's outputs.
        input_size: height and width (the size of all spatial axes) at which the module will be
            run, where that is not the declared one: checked here.
        fixed_statistics: whether BatchNormalization uses the running statistics in `train()` mode
            too, so that what is trained is the function that is deployed.

    Returns:
        A module that takes the graph's inputs in order and always returns a tuple, in the order
        of `outputs`. In `train()` mode BatchNormalization uses the statistics of the batch and
        updates the running ones, unless they are fixed; dropout does nothing in either mode.

    Raises:
        BadInputError: an operator cannot be trained, `outputs` names no value, or the graph has
            a size baked in that forbids `input_size`. The module itself raises it when a graph
            that is tied to its declared size is run at another.
    """
    graph = proto.graph
    wanted = outputs or [value.name for value in graph.output]
    sources = _inputs(graph)
    _check(graph, wanted, sources, input_size)
    declared = {source.extent for source in sources if source.spatial}
    bound = {binding.initializer for binding in analyse(proto).bindings}
    size = None if declared == {input_size} else input_size
    tracer = Tracer(size, bound, fixed_statistics=fixed_statistics)
    constants = initializers(proto)
    needed = _needed(graph, wanted)
    require_trainable(needed, constants)
    values: dict[str, Value] = dict(constants)
    for source in sources:
        values[source.name] = tracer.placeholder(source)
    version = opset(proto)
    for node in needed:
        view = OpNode(node, version, tracer, values)
        values.update(zip(node.output, translate(view), strict=False))
    returned = [_as_node(tracer, name, values[name]) for name in wanted]
    return _finish(tracer, sources, returned)


def takes_batches(module: fx.GraphModule) -> bool:
    """Whether a module made by `build_module` can be given another batch than the declared one."""
    guards = [node for node in module.graph.nodes if node.target is require_size]
    return all(axis for guard in guards for axis, _, _ in guard.args[1])


def parameter_names(module: fx.GraphModule) -> dict[str, str]:
    """Initializer name of every parameter of a module made by `build_module`, by its own name."""
    return {name: module.meta[_NAMES][name] for name, _ in module.named_parameters()}


def tensors_by_initializer(module: fx.GraphModule) -> dict[str, Tensor]:
    """Parameters and buffers of a module made by `build_module`, by their initializer's name."""
    tensors = (*module.named_parameters(), *module.named_buffers())
    return {module.meta[_NAMES][attribute]: tensor for attribute, tensor in tensors}


def parameters_by_initializer(module: fx.GraphModule) -> dict[str, nn.Parameter]:
    """Parameters of a module made by `build_module`, by their initializer's name."""
    return {module.meta[_NAMES][attribute]: p for attribute, p in module.named_parameters()}


def with_tensors(
    module: fx.GraphModule, tensors: Mapping[str, Tensor], inputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Run a module made by `build_module` with other parameters and buffers than its own.

    Args:
        module: says how to compute.
        tensors: by the names of initializers; those that the module lacks are not used, and of
            those that are missing here the module takes its own.
        inputs: what it takes.

    Returns:
        What the module returns. Gradients reach `tensors`.
    """
    names = module.meta[_NAMES]
    own = (name for name, _ in (*module.named_parameters(), *module.named_buffers()))
    given = {name: tensors[names[name]] for name in own if names[name] in tensors}
    outputs: tuple[Tensor, ...] = torch.func.functional_call(module, given, tuple(inputs))
    return outputs


def write_back(module: fx.GraphModule, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Write a module's parameters and running statistics into the graph that it was built from.

    Returns:
        A new graph, equal to `proto` but for the content of these initializers, whose element
        types are kept.

    Raises:
        BadInputError: an initializer is missing from `proto`, or has another shape there.
    """
    result = copy.deepcopy(proto)
    old, new = initializers(proto), {}
    for attribute, tensor in (*module.named_parameters(), *module.named_buffers()):
        name = module.meta[_NAMES][attribute]
        if name not in old or old[name].shape != tuple(tensor.shape):
            raise BadInputError(f"initializer {name}: the module was built from another graph")
        new[name] = tensor.detach().cpu().numpy().astype(old[name].dtype)
    replace_initializers(result, new)
    return result


def module_runner(proto: onnx.ModelProto) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    """Return a function that runs a graph as its trainable module, from and to numpy arrays."""
    module = build_module(proto).eval()

    def run(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = module(*(torch.from_numpy(array) for array in feeds.values()))
        parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return [part.numpy() for part in parts]

    return run


def require_size(x: Tensor, sizes: Sequence[tuple[int, int, str]]) -> Tensor:
    """Pass a tensor through if it has the sizes that nodes of the graph bake in.

    Args:
        x: an input of the module.
        sizes: axis, size and the node that is to blame.

    Raises:
        BadInputError: it has another size; names the node.
    """
    for axis, size, culprit in sizes:
        if x.shape[axis] != size:
            raise BadInputError(
                f"node {culprit} has the declared input size baked in: "
                f"axis {axis} must be {size}, not {x.shape[axis]}"
            )
    return x


def _inputs(graph: onnx.GraphProto) -> list[Input]:
    constant = {tensor.name for tensor in graph.initializer}
    sources = [_input(value) for value in graph.input if value.name not in constant]
    # A style code 1,S,1,1 or a smaller noise map does not grow with the picture.
    largest = max((prod(source.extent) for source in sources if source.spatial), default=0)
    return [
        source if prod(source.extent) == largest else replace(source, spatial=())
        for source in sources
    ]


def _input(value: onnx.ValueInfoProto) -> Input:
    tensor_type = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in tensor_type.shape.dim)
    if not all(shape):
        raise BadInputError(f"input {value.name} has dynamic axes: give its size")
    dtype = getattr(torch, helper.tensor_dtype_to_np_dtype(tensor_type.elem_type).name, None)
    if dtype is None:
        raise BadInputError(f"input {value.name}: torch has no tensors of its element type")
    spatial: tuple[int, ...] = ()
    if len(shape) > 2:
        # N,C,... as ONNX has it, unless the last axis is so short that it must be the channels.
        last = shape[-1] < min(shape[1:-1])
        spatial = tuple(range(1, len(shape) - 1) if last else range(2, len(shape)))
    return Input(value.name, shape, dtype, spatial)


def _check(
    graph: onnx.GraphProto,
    wanted: list[str],
    sources: list[Input],
    input_size: tuple[int, ...] | None,
) -> None:
    known = {name for node in graph.node for name in node.output}
    known |= {source.name for source in sources}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise BadInputError(f"value {missing[0]}: the graph computes no such value")
    ranks = {len(source.spatial) for source in sources if source.spatial}
    if input_size and ranks != {len(input_size)}:
        raise BadInputError(f"input size {input_size}: the inputs have {ranks} spatial axes")


def _needed(graph: onnx.GraphProto, wanted: list[str]) -> list[onnx.NodeProto]:
    """Copies of the nodes that the wanted values depend on, in the graph's order.

    Outputs that nothing reads have the name "" in them, as optional outputs have in ONNX.
    """
    live, needed = set(wanted), []
    for node in reversed(graph.node):
        if live.intersection(node.output):
            live.update(node.input)
            twin = onnx.NodeProto.FromString(node.SerializeToString())
            twin.output[:] = [name if name in live else "" for name in node.output]
            needed.append(twin)
    return needed[::-1]


def _as_node(tracer: Tracer, name: str, value: Value) -> fx.Node:
    return value if isinstance(value, fx.Node) else tracer.constant(name, value, trainable=False)


def _finish(tracer: Tracer, sources: list[Input], returned: list[fx.Node]) -> fx.GraphModule:
    graph = tracer.graph
    graph.output(tuple(returned))
    for node, source in zip(tracer.inputs, sources, strict=True):
        _guard(tracer, node, source)
    graph.eliminate_dead_code()
    module = fx.GraphModule(tracer.root, graph, "OnnxModule")
    module.meta[_NAMES] = tracer.initializers
    return module


def _guard(tracer: Tracer, node: fx.Node, source: Input) -> None:
    """Check an input's size in the module, where a node is right only at the declared one."""
    free = {BATCH: (0,) if source.has_batch else (), EXTENT: source.spatial}
    sizes = tuple(
        (axis, source.shape[axis], culprit)
        for probe, culprit in tracer.tied.items()
        for axis in free[probe]
    )
    if not sizes:
        return
    users = list(node.users)
    with tracer.graph.inserting_after(tracer.inputs[-1]):
        guarded = tracer.graph.call_function(require_size, (node, sizes))
    for user in users:
        user.replace_input_with(node, guarded)
