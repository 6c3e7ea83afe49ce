import numpy as np
import onnx
import pytest
import torch

from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import initializers
from decig.training.trainable.elastic import Elastic
from decig.training.trainable.module import build_module, tensors_by_initializer
from tests.graph.random_graphs import RandomGraph
from tests.training.onnx_cases import assert_close, run_ort
from tests.training.random_nets import CHANNELS, PROTO, for_random_generators, image, noise_for
from tests.training.tiny import tiny_generator, with_batch_norms

ORDER = {"c1": np.array([5, 1, 7, 3, 0, 2, 4, 6]), "c2": np.arange(8)[::-1]}


def elastic() -> Elastic:
    return Elastic(PROTO, CHANNELS, ORDER, ["output"])


def test_narrower_networks_have_the_channels_that_matter_most() -> None:
    assert elastic().plan({"c1": 3, "c2": 2}).keep == {"c1": [1, 5, 7], "c2": [6, 7]}
    assert elastic().plan({"c2": 2}).keep["c1"] == list(range(8))


@pytest.mark.parametrize("widths", [{}, {"c1": 3}, {"c1": 1, "c2": 5}])
def test_a_part_computes_what_the_cut_graph_computes(widths: dict[str, int]) -> None:
    made, module = elastic(), build_module(PROTO)
    with torch.no_grad():
        for parameter in module.parameters():  # as after training
            parameter.mul_(1.1)
        (found,) = made.run(module, widths, (image(),))
    expected = run_ort(made.cut(module, widths), image().numpy())[0]
    assert_close(found.numpy(), expected, 1e-5)


def test_gradients_are_those_of_the_cut_graph_and_nothing_else() -> None:
    made, module, widths = elastic(), build_module(PROTO), {"c1": 3, "c2": 2}
    own = build_module(made.cut(module, widths))
    for output in (made.run(module, widths, (image(),))[0], own(image())[0]):
        output.square().sum().backward()
    plan = made.plan(widths)
    full, cut = tensors_by_initializer(module), tensors_by_initializer(own)
    weight = full["c2.weight"].grad[plan.keep["c2"]][:, plan.keep["c1"]]
    torch.testing.assert_close(weight, cut["c2.weight"].grad)
    assert full["c2.weight"].grad.count_nonzero() == cut["c2.weight"].grad.count_nonzero() > 0


def test_what_was_built_for_some_widths_follows_the_module() -> None:
    made, module = elastic(), build_module(PROTO)
    with torch.no_grad():
        before = made.run(module, {"c1": 3}, (image(),))[0]
        module.get_parameter("c1_weight").mul_(2).add_(0.1)
        after = made.run(module, {"c1": 3}, (image(),))[0]
    assert (before - after).abs().max() > 1e-3
    assert len(made._parts) == 1


def test_parts_leave_running_statistics_alone() -> None:
    proto = with_batch_norms(tiny_generator(size=24), 0.1, 1.2)
    made = Elastic(proto, analyse(proto), ORDER, ["output"])
    module = build_module(proto).train()
    made.run(module, {"c1": 4}, (image(),))
    made.run(module, {}, (image(),))
    before, after = initializers(proto), tensors_by_initializer(module)
    for name, tensor in after.items():
        np.testing.assert_array_equal(tensor.detach().numpy(), before[name])


@for_random_generators(25)
def test_random_generators_at_random_widths(
    graph: RandomGraph, proto: onnx.ModelProto, channels: ChannelMap
) -> None:
    random = np.random.default_rng(graph.seed)
    order = {g.name: random.permutation(g.channels) for g in channels.prunable}
    widths = {g.name: int(random.integers(1, g.channels + 1)) for g in channels.prunable}
    inputs = noise_for(proto, graph.seed)
    outputs = [value.name for value in proto.graph.output]
    made, module = Elastic(proto, channels, order, outputs), build_module(proto).eval()
    with torch.no_grad():
        found = made.run(module, widths, [torch.from_numpy(array) for array in inputs])
    for value, wanted in zip(found, run_ort(made.cut(module, widths), *inputs), strict=True):
        assert_close(value.numpy(), wanted, 1e-4)
