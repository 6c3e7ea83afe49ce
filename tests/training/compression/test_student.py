from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.graph.model import load_model
from decig.training.compression import student
from decig.training.compression.slicing import Origin, slice_and_repair
from decig.training.compression.student import save_student, student_task, teacher_pool
from tests.samples import write_photos
from tests.training.graphs import code_generator
from tests.training.onnx_cases import run_ort
from tests.training.small import small
from tests.training.tiny import tiny_generator, with_batch_norms


def test_the_task_has_the_losses_that_the_settings_ask_for(tmp_path: Path) -> None:
    targets = write_photos(tmp_path / "targets", 6, 60, 64)
    job = small(tmp_path, targets=targets, settings={"features": 0.1}).job()
    slice_and_repair(job, Origin.teacher(job), job.goal.target_ms, "plan.json", "start.onnx")
    start = job.run.load_graph("start.onnx").proto
    task = student_task(job, start, rate=0.5, with_extras=True)
    batch = task.batch(0)
    terms = task.losses("student", batch, task.forward(batch))
    assert list(terms) == ["output", "features", "targets", "adversarial"]
    assert list(task.groups) == ["discriminator", "student"]
    assert task.groups["student"].learning_rate == 0.5 * job.config.train.learning_rate
    bare = student_task(job, start, rate=1.0, with_extras=False)
    assert list(bare.losses("student", batch, bare.forward(batch))) == ["output"]
    assert list(bare.groups) == ["student"]


def test_batch_norms_are_trained_with_the_statistics_that_are_deployed(tmp_path: Path) -> None:
    proto = with_batch_norms(tiny_generator(size=48, width=16), 0.3, 2.0)
    job = small(tmp_path, proto).job()
    name = "start.onnx"
    slice_and_repair(job, Origin.teacher(job), job.goal.target_ms, "plan.json", name)
    start = job.run.load_graph(name).proto
    task = student_task(job, start, rate=1.0, with_extras=False)
    image = np.random.default_rng(0).random((1, 3, 48, 48), np.float32)
    deployed = run_ort(start, image)[0]
    painted = task.student.train()(torch.from_numpy(image))[0].detach().numpy()
    np.testing.assert_allclose(painted, deployed, atol=1e-4)


@pytest.mark.parametrize("whole", [False, True])
def test_the_pool_holds_what_the_teacher_paints(tmp_path: Path, whole: bool) -> None:
    job = small(tmp_path, settings={"batch": 5, "crop": 24}).job()
    batch = teacher_pool(job, seed=3, whole=whole).batch(0)
    side, count = (48, 1) if whole else (24, 5)  # as few whole ones as cost the same
    assert batch.inputs[0].shape == (count, 3, side, side)
    if whole:
        proto = job.teacher.model.proto
        wanted = Device.of().run_over(proto, [{"input": batch.inputs[0].numpy()}])[0]
        np.testing.assert_allclose(batch.teacher.numpy(), wanted, atol=2e-3)


def test_a_pool_is_as_large_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same whatever was made before, so that a run that goes on draws the same."""
    job = small(tmp_path).job()
    batch = 2 * 32 * 32 * (3 + 3 * 2)
    monkeypatch.setattr(student, "_POOL_BYTES", 256 * batch)
    assert teacher_pool(job, seed=0)._stored.maxlen == 256
    assert not caplog.messages
    monkeypatch.setattr(student, "_POOL_BYTES", 256 * batch - 1)
    assert teacher_pool(job, seed=0)._stored.maxlen == 255
    assert caplog.messages[0].startswith("pool = 255: more batches would take more than ")
    monkeypatch.setattr(student, "_POOL_BYTES", 0)
    assert teacher_pool(job, seed=0)._stored.maxlen == 1


def test_a_model_that_paints_from_a_code_has_no_crops(tmp_path: Path) -> None:
    job = small(tmp_path, code_generator(), images=None, feeds={"code": "normal"}).job()
    batch = teacher_pool(job, seed=0).batch(0)
    assert batch.source is None and batch.teacher.shape[2:] == (48, 48)


def test_the_student_has_the_axes_of_the_file(tmp_path: Path) -> None:
    proto = tiny_generator(size=48, width=16)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[2].dim_param = "height"
        value.type.tensor_type.shape.dim[3].dim_param = "width"
    del proto.graph.value_info[:]
    path = tmp_path / "open.onnx"
    onnx.save(proto, path)
    model = load_model(path, {"input": [1, 3, 48, 48]})
    asked = small(tmp_path)
    taken = asked.goal.target.table
    table = replace(taken, model=replace(taken.model, sha256=model.sha256))
    job = asked.but(model=model, target=Target(table)).job()
    save_student(job, model.proto, "student.onnx")
    save_student(job, model.proto, "distilled.onnx")
    for name, axes in (("student.onnx", ["height", "width"]), ("distilled.onnx", ["", ""])):
        dims = onnx.load(job.run.file(name)).graph.input[0].type.tensor_type.shape.dim
        assert [dim.dim_param for dim in dims[2:]] == axes
