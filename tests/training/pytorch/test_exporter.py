import hashlib

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from decig.errors import BadInputError
from decig.graph import storage
from decig.graph.model import load_model
from decig.training.pytorch.exporter import export_onnx
from tests.runtime import open_plain


class Two(nn.Module):
    """Two inputs, two outputs, dropout and BatchNorm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.5)
        self.scale = nn.Linear(4, 5)

    def forward(self, image, style):
        x = self.drop(self.norm(self.conv(image))) * self.scale(style)[:, :, None, None]
        return x, [x.mean((2, 3))]


class Merged(nn.Module):
    """Merges two convolutions at every call and stores the result, as SPAN does."""

    def __init__(self):
        super().__init__()
        self.mean = torch.full((1, 3, 1, 1), 0.4)
        self.first, self.second = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 3, 3)
        self.merged = nn.Conv2d(3, 3, 3, padding=1)
        self.merged.weight.requires_grad = False
        self.kept = None

    def forward(self, x):
        self.mean = self.mean.type_as(x)
        first, second = (layer.weight.data.clone() for layer in (self.first, self.second))
        self.kept = torch.einsum("omhw,mi->oihw", second, first[:, :, 0, 0])
        self.merged.weight.data = self.kept
        x = self.merged(x - self.mean)
        x.data = x.data * 3
        return torch.tanh(x)


SHAPES = {"image": [1, 3, 16, 16], "style": [1, 4]}


def _net():
    torch.manual_seed(0)
    return Two()


def test_weights_stored_at_every_call_are_constants(tmp_path):
    torch.manual_seed(0)
    net = Merged()
    export_onnx(net, {"input": [1, 3, 16, 16]}, tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    found = open_plain(tmp_path / "net.onnx").run(None, {"input": x})[0]
    with torch.no_grad():
        assert np.abs(found - net(torch.from_numpy(x)).numpy()).max() < 1e-5
    kinds = [node.op_type for node in load_model(tmp_path / "net.onnx").proto.graph.node]
    assert kinds == ["Sub", "Conv", "Mul", "Tanh"]


def test_exported_file_computes_what_the_module_does(tmp_path):
    net = _net()
    export_onnx(net, SHAPES, tmp_path / "g.onnx")
    session = open_plain(tmp_path / "g.onnx")
    assert {i.name: i.shape for i in session.get_inputs()} == SHAPES
    assert [o.name for o in session.get_outputs()] == ["output", "output_1"]
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    found = session.run(None, feeds)
    with torch.no_grad():
        picture, (means,) = net(*(torch.from_numpy(array) for array in feeds.values()))
    assert np.allclose(picture.numpy(), found[0], atol=1e-5)
    assert np.allclose(means.numpy(), found[1], atol=1e-5)


def test_parameters_keep_their_names_and_batchnorm_stays(tmp_path):
    export_onnx(_net(), SHAPES, tmp_path / "g.onnx")
    graph = onnx.load(tmp_path / "g.onnx").graph
    assert "BatchNormalization" in {node.op_type for node in graph.node}
    assert "Dropout" not in {node.op_type for node in graph.node}
    assert {"conv.weight", "norm.running_var", "scale.bias"} <= {t.name for t in graph.initializer}


def test_the_same_module_gives_the_same_bytes_without_a_path_in_them(tmp_path):
    digests = set()
    for name in ("a.onnx", "b.onnx"):
        export_onnx(_net(), SHAPES, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        digests.add(hashlib.sha256(content).hexdigest())
        assert b"test_exporter" not in content
    assert len(digests) == 1


class ByBatch(nn.Module):
    """Batch norms that use the statistics of their input, whatever the module's mode."""

    def __init__(self, kind):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.style = nn.Linear(4, 12)
        self.norm = nn.BatchNorm2d(6, track_running_stats=False)
        self.kind = kind

    def forward(self, image, style):
        x = self.conv(image)
        if self.kind == "layer":
            return self.norm(x) * self.style(style)[:, :6, None, None]
        shift, scale = self.style(style).chunk(2, 1)
        n, c, height, width = x.shape
        mean, var = torch.zeros(c), torch.ones(c)
        if self.kind == "one per batch":
            return functional.batch_norm(x, mean, var, scale[0], shift[0], training=True)
        if self.kind == "of vectors":
            rows = x.permute(0, 2, 3, 1).reshape(-1, c)
            rows = functional.batch_norm(rows, mean, var, training=True, eps=0.1)
            return rows.reshape(n, height, width, c) * scale[:, None, None] + x.mean()
        mean, var = mean.repeat(n), var.repeat(n)
        x = x.reshape(1, n * c, height, width)
        x = functional.batch_norm(x, mean, var, scale.reshape(-1), shift.reshape(-1), True)
        return x.view(n, c, height, width)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", ["layer", "one per batch", "of vectors", "per image"])
def test_batch_norms_keep_the_statistics_of_their_input(tmp_path, kind, batch):
    torch.manual_seed(0)
    net = ByBatch(kind)
    shapes = {"image": [batch, 3, 8, 8], "style": [batch, 4]}
    export_onnx(net, shapes, tmp_path / "net.onnx")
    feeds = {name: torch.randn(shape) for name, shape in shapes.items()}
    session = open_plain(tmp_path / "net.onnx")
    found = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    with torch.no_grad():
        assert np.abs(found - net(*feeds.values()).numpy()).max() < 1e-5


class Undecided(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_what_pytorch_cannot_trace_is_said_in_one_line(tmp_path, capfd):
    wanted = r"net: PyTorch cannot export this: Guard\w+: .* \(test_exporter\.py, line \d+\)"
    with pytest.raises(BadInputError, match=wanted) as caught:
        export_onnx(Undecided(), {"input": [1, 3, 8, 8]}, tmp_path / "g.onnx", "net")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_weights_that_do_not_fit_into_one_file_get_a_second(tmp_path, monkeypatch):
    inputs = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    export_onnx(_net(), SHAPES, tmp_path / "whole.onnx")
    monkeypatch.setattr(storage, "LIMIT", 100)
    monkeypatch.setattr(storage, "_SMALL", 100)
    export_onnx(_net(), SHAPES, tmp_path / "pair.onnx")
    weights = [path for path in tmp_path.iterdir() if path.suffix == ".data"]
    assert len(weights) == 1 and weights[0].name.startswith("pair.onnx.")
    found = [
        open_plain(load_model(tmp_path / name).proto).run(None, inputs)
        for name in ("whole.onnx", "pair.onnx")
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
