"""Calls that are tried at other sizes while the graph grows."""

import operator

import numpy as np
import pytest
import torch

from decig.errors import BadInputError
from decig.training.ops.sizes import declared, follows_input
from decig.training.ops.tracer import BATCH, BATCH_FACTOR, EXTENT, GIVEN, Input, Tracer

IMAGE = Input("x", (1, 3, 8, 6), torch.float32, (2, 3))


def begin(**settings: object) -> tuple[Tracer, "torch.fx.Node"]:
    tracer = Tracer(**settings)
    return tracer, tracer.placeholder(IMAGE)


def test_probes_of_an_input() -> None:
    assert IMAGE.probed(BATCH, ()) == (BATCH_FACTOR, 3, 8, 6)
    assert IMAGE.probed(EXTENT, ()) == (1, 3, 16, 18)
    assert IMAGE.probed(GIVEN, (5, 7)) == (1, 3, 5, 7)
    vector = Input("v", (4,), torch.float32, ())
    assert not vector.has_batch and vector.probed(BATCH, ()) == (4,)


def test_sizes_that_follow_the_input_are_told_from_constants() -> None:
    tracer, x = begin()
    pooled = tracer.call("n", torch.nn.functional.max_pool2d, (x, 2), {})
    assert tracer.shape(pooled) == (1, 3, 4, 3)
    dims = tracer.dims(pooled)
    assert [follows_input(dim) for dim in dims] == [True, False, True, True]
    assert [declared(dim) for dim in dims] == [1, 3, 4, 3]
    assert tracer.dims(x)[0] == dims[0]  # the batch is the input's
    assert not tracer.tied


def test_a_size_is_computed_as_the_graph_runs() -> None:
    tracer, x = begin()
    batch, _, height, width = tracer.dims(x)
    shape = [tracer.size(batch), 3, tracer.size((*height, *width))]
    flat = tracer.call("n", torch.reshape, (x, shape), {}, dims=[batch, (3,), (*height, *width)])
    double = tracer.scaled(height, 3, 2)
    both = tracer.call("n", operator.add, (flat, double), {})
    tracer.graph.output(both)
    module = torch.fx.GraphModule(tracer.root, tracer.graph)
    image = torch.zeros(5, 3, 4, 2)
    assert torch.equal(module(image), torch.full((5, 3, 8), 6.0))


def test_a_call_that_fails_at_other_sizes_ties_the_graph() -> None:
    tracer, x = begin()
    tracer.call("culprit", torch.reshape, (x, (1, 3, 48)), {})
    assert tracer.tied == {BATCH: "culprit", EXTENT: "culprit"}


def test_a_call_that_fails_at_the_size_asked_for_is_refused() -> None:
    tracer, x = begin(input_size=(4, 4))
    with pytest.raises(BadInputError, match=r"cannot be trained at 4x4: node culprit: "):
        tracer.call("culprit", torch.reshape, (x, (1, 3, 48)), {})
    tracer, x = begin()
    with pytest.raises(BadInputError, match=r"cannot be trained: node culprit: "):
        tracer.call("culprit", torch.reshape, (x, (1, 3, 47)), {})


def test_an_axis_that_must_not_change() -> None:
    tracer, x = begin()
    tracer.fix("n", x, 1)
    assert not tracer.tied
    tracer.fix("n", x, 2)
    assert tracer.tied == {EXTENT: "n"}


def test_constants_go_under_names_that_python_takes() -> None:
    tracer, _ = begin()
    for name in ("a.weight", "class", "a/weight"):
        tracer.constant(name, np.ones(2, np.float32), trainable=True)
    assert sorted(tracer.initializers.values()) == ["a.weight", "a/weight", "class"]
    assert len(set(tracer.initializers)) == 3
    assert all(name.isidentifier() for name in tracer.initializers)
    assert len(list(tracer.root.parameters())) == 3


def test_types_that_torch_lacks_are_named() -> None:
    tracer, _ = begin()
    with pytest.raises(BadInputError, match=r"initializer words: .*cannot be trained"):
        tracer.constant("words", np.array(["a"]), trainable=False)


def test_the_training_flag_is_the_modules_own() -> None:
    tracer, x = begin()
    tracer.graph.output(tracer.call("n", torch.dropout, (x, 1.0, tracer.by_batch()), {}))
    module = torch.fx.GraphModule(tracer.root, tracer.graph)
    image = torch.ones(1, 3, 8, 6)
    assert module.eval()(image).all() and not module.train()(image).any()
