import pytest
import torch

from decig.graph.model import initializers, load_model
from decig.training.pytorch.exporter import export_onnx
from decig.training.tasks.paired import open_task
from decig.training.trainable.slim import Slim
from tests.training import small_originals


@pytest.fixture
def task(tmp_path):
    recipe = small_originals.write_recipe(tmp_path, "paired")
    small_originals.write_data(tmp_path / "data", "paired")
    return open_task(recipe, tmp_path / "data", small_originals.with_rank(0))


def test_a_slim_net_takes_the_place_of_a_generator_and_goes_back_into_its_graph(task, tmp_path):
    net = task.nets["generator"].eval()
    export_onnx(net, {"input": [1, 3, 32, 32]}, tmp_path / "net.onnx")
    model = load_model(tmp_path / "net.onnx")
    slim = Slim(model).eval()
    batch = task.batch(0)
    with torch.no_grad():
        assert torch.allclose(slim(batch.source), net(batch.source), atol=1e-6)
    task.nets["generator"] = slim
    task.forward(batch).sum().backward()
    assert all(parameter.grad is not None for parameter in slim.parameters())
    with torch.no_grad():
        slim.graph.get_parameter(next(iter(dict(slim.graph.named_parameters())))).mul_(2)
    before, after = (initializers(p) for p in (model.proto, slim.written()))
    changed = [name for name, value in before.items() if (after[name] != value).any()]
    assert len(changed) == 1 and (after[changed[0]] == 2 * before[changed[0]]).all()
