"""The order of numbers in memory: channels last where there are four axes, nothing else moved."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from decig.graph.model import normalise
from decig.training.compression.student import student_task
from decig.training.loop.engine import Engine
from decig.training.loop.schedule import Budget
from decig.training.trainable.memory import put_channels_last
from tests.training.small import small
from tests.training.tiny import tiny_generator


def test_only_tensors_of_four_axes_are_reordered() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(2, 3, 3), nn.Linear(2, 3))
    for rank in range(1, 7):
        module.register_buffer(f"of_rank_{rank}", torch.randn(2, 3, 4, 2, 3, 2)[(0,) * (6 - rank)])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    kept = dict(module.named_parameters())
    put_channels_last(module)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
        last = value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)
        assert last == (value.dim() == 4)
    assert all(kept[name] is parameter for name, parameter in module.named_parameters())


def window_masked(size: int = 48) -> onnx.ModelProto:
    """The tiny generator, its first features multiplied by a mask of five axes."""
    proto = tiny_generator(size=size, width=16)
    mask = np.random.default_rng(0).random((1, 2, 1, size, size), np.float32)
    for name, array in {
        "mask": mask,
        "windows": np.array([1, 2, 8, size, size]),
        "picture": np.array([1, 16, size, size]),
    }.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto.graph.node[0].output[0] = "features"
    for place, (kind, inputs, output) in enumerate(
        [
            ("Reshape", ["features", "windows"], "apart"),
            ("Mul", ["apart", "mask"], "masked"),
            ("Reshape", ["masked", "picture"], "c1"),
        ]
    ):
        proto.graph.node.insert(1 + place, helper.make_node(kind, inputs, [output], name=output))
    return normalise(proto)


def test_a_graph_with_a_mask_of_five_axes_trains(tmp_path: Path) -> None:
    job = small(tmp_path, window_masked(), settings={"crop": 0}).job()
    task = student_task(job, job.teacher.model.proto, rate=1.0, with_extras=False)
    before = {name: value.clone() for name, value in task.student.named_parameters()}
    Engine(task, Budget(steps=2), job.processes).run()
    assert task.student.state_dict()["mask"].shape == (1, 2, 1, 48, 48)
    trained = task.student.named_parameters()
    moved = [name for name, value in trained if not value.equal(before[name])]
    assert {"c1_weight", "c4_weight"} <= set(moved)
