import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from decig.device.run.device import Device
from decig.errors import BadInputError, DecigError
from decig.source.recipe import Code
from decig.training.pytorch import load
from decig.training.pytorch.load import load_pytorch

CODE = """
import torch
from torch import nn
class Net(nn.Sequential):
    def __init__(self, width=4, noisy=False):
        super().__init__(
            nn.utils.spectral_norm(nn.Conv2d(3, width, 3, padding=1)),
            nn.BatchNorm2d(width),
            nn.Dropout(0.5),
            nn.LazyConv2d(3, 1),
        )
        self.noisy = noisy
    def forward(self, x):
        x = super().forward(x)
        return x + torch.randn_like(x) if self.noisy else x
"""
SHAPES = {"input": [1, 3, 16, 16]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path


def _net(folder: Path, **arguments: object):
    namespace: dict = {}
    exec(compile((folder / "net.py").read_text(), "net.py", "exec"), namespace)
    torch.manual_seed(7)
    net = namespace["Net"](**arguments)
    net(torch.zeros(1, 3, 16, 16))
    return net.eval()


def test_the_graph_computes_what_the_trained_module_does(folder):
    net = _net(folder, width=6)
    torch.save(net.state_dict(), folder / "w.pth")
    model = load_pytorch(Code("net.py:Net", {"width": 6}, "w.pth"), folder, SHAPES, "net")
    assert str(model.path) == "net"
    x = np.random.default_rng(0).normal(size=SHAPES["input"]).astype(np.float32)
    found = Device.of().open(model.proto).run(None, {"input": x})[0]
    with torch.no_grad():
        assert np.allclose(found, net(torch.from_numpy(x)).numpy(), atol=1e-5)


def test_initial_weights_are_the_same_every_time(folder, caplog):
    caplog.set_level(logging.INFO, "decig")
    state = torch.random.get_rng_state()
    digests = {load_pytorch(Code("net.py:Net"), folder, SHAPES, "net").sha256 for _ in range(2)}
    assert len(digests) == 1
    assert "net: no trained weights; taking initial ones (seed 0)" in caplog.text
    assert torch.equal(state, torch.random.get_rng_state())
    other = load_pytorch(Code("net.py:Net", {"width": 5}), folder, SHAPES, "net").sha256
    assert other not in digests


def test_python_finds_its_way_back(folder):
    before = list(sys.path)
    load_pytorch(Code("net.py:Net"), folder, SHAPES, "net")
    assert sys.path == before


def test_random_numbers_in_forward_are_refused(folder):
    wanted = "another result at every call, as it draws random numbers"
    with pytest.raises(DecigError, match=wanted):
        load_pytorch(Code("net.py:Net", {"noisy": True}), folder, SHAPES, "net")


def test_values_that_are_no_numbers_are_refused(folder):
    (folder / "net.py").write_text(CODE.replace("torch.randn_like(x)", "(0 * x).log()"))
    with pytest.raises(DecigError, match="forward returns values that are no numbers"):
        load_pytorch(Code("net.py:Net", {"noisy": True}), folder, SHAPES, "net")


def test_an_exporter_that_writes_another_computation_is_to_blame(folder, monkeypatch):
    export = load.export_onnx

    def changed(module, *more):
        export(nn.Sequential(module, nn.Tanh()), *more)

    monkeypatch.setattr(load, "export_onnx", changed)
    with pytest.raises(DecigError, match="PyTorch's exporter wrote another computation"):
        load_pytorch(Code("net.py:Net"), folder, SHAPES, "net")


def test_a_module_that_changes_its_input(folder):
    code = CODE.replace("x = super().forward(x)", "x *= 255\n        x = super().forward(x)")
    (folder / "net.py").write_text(code)
    model = load_pytorch(Code("net.py:Net"), folder, SHAPES, "net")
    assert [value.name for value in model.proto.graph.output] == ["output"]


def test_weights_of_another_width(folder):
    torch.save(_net(folder, width=6).state_dict(), folder / "w.pth")
    with pytest.raises(BadInputError, match=r"w\.pth: does not fit net: .* of another shape \("):
        load_pytorch(Code("net.py:Net", {}, "w.pth"), folder, SHAPES, "net")
