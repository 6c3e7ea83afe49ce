from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from decig.graph.channels import analyse
from decig.graph.model import initializers, load_model
from decig.training.pytorch.binding import weights_of
from decig.training.pytorch.exporter import export_onnx
from decig.training.pytorch.reparametrise import resolve_module


class Mixed(nn.Module):
    """Convolutions of both kinds, one of them under spectral norm, and a Linear over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.normed = spectral_norm(nn.Conv2d(6, 6, 3, padding=1))
        self.linear = nn.Linear(6, 6)
        self.up = nn.ConvTranspose2d(6, 5, 2, 2)
        self.last = nn.Conv2d(5, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.normed(self.first(x).relu()).relu()
        x = self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).relu()
        return self.last(self.up(x).relu())


def bound(
    folder: Path,
) -> tuple[Mixed, dict[str, torch.Tensor], dict[str, np.ndarray], dict[str, int]]:
    """A net, what is found of it, its graph's initializers, and the axes that read channels."""
    torch.manual_seed(0)
    net, plain = Mixed(), Mixed()
    plain.load_state_dict(net.state_dict())
    resolve_module(plain)
    export_onnx(plain, {"input": [1, 3, 8, 8]}, folder / "net.onnx")
    proto = load_model(folder / "net.onnx").proto
    values, channels = initializers(proto), analyse(proto)
    readers = {
        b.initializer: int(np.argmax(b.ids.shape))
        for b in channels.bindings
        if b.role == "read" and channels.classes_of(b.ids).any()
    }
    return net, weights_of(net, plain, values), values, readers


def test_every_weight_that_reads_channels_is_found(tmp_path: Path) -> None:
    _, weights, values, readers = bound(tmp_path)
    assert len(readers) == 4 and readers.keys() <= weights.keys()
    for name in readers:
        assert weights[name].shape == values[name].shape
    assert any(name not in dict(Mixed().named_parameters()) for name in readers)  # the Linear


def test_a_change_of_what_is_found_changes_the_exported_weight_in_the_same_places(
    tmp_path: Path,
) -> None:
    net, weights, _, readers = bound(tmp_path)
    for name, axis in readers.items():
        with torch.no_grad():
            weights[name].movedim(axis, 0)[2].zero_()
    net.eval()
    layers = {net.normed: 1, net.linear: 1, net.up: 0, net.last: 1}
    for layer, axis in layers.items():
        dead = [not rows.any() for rows in layer.weight.movedim(axis, 0)]
        assert dead == [channel == 2 for channel in range(len(dead))]
    assert net.first.weight.all()  # reads the picture, no channels


def test_weights_that_are_computed_are_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)

    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)
            self.c = weight_norm(nn.ConvTranspose2d(4, 4, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv2d(self.c(self.a(x).relu()).relu(), self.b.weight * 0.5)

    net, plain = Halved(), Halved()
    plain.load_state_dict(net.state_dict())
    resolve_module(plain)
    export_onnx(plain, {"input": [1, 3, 8, 8]}, tmp_path / "net.onnx")
    values = initializers(load_model(tmp_path / "net.onnx").proto)
    assert {"a.weight", "a.bias", "c.bias"} <= values.keys()
    assert weights_of(net, plain, values).keys() == {"a.weight", "a.bias", "c.bias"}
