import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from decig.errors import BadInputError
from decig.source.recipe import Code
from decig.training.pytorch.checkpoint import Checkpoint
from decig.training.pytorch.sizes import fit_to_checkpoint

CODE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=4, inputs=3, bias=True):
        super().__init__(nn.Conv2d(inputs, width, 3, bias=bias), nn.Conv2d(width, 3, 1))

def read_sizes(shapes):
    width, inputs, _, _ = shapes["0.weight"]
    return {"width": width, "inputs": inputs}, {"image": [None, inputs, None, width]}

def broken(shapes):
    return shapes.nonsense

def half(shapes):
    return ({},)
"""
SHAPES = {"input": [1, 3, 16, 16]}
SOURCE = Code("net.py:Net", {"width": 4}, sizes="read_sizes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path


def _net(width: int, inputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 3), nn.Conv2d(width, 3, 1))


def _fit(folder: Path, content: object, source: Code = SOURCE, **more):
    torch.save(content, folder / "w.pth")
    checkpoint = Checkpoint.read(folder / "w.pth")
    return fit_to_checkpoint(source, folder, checkpoint, SHAPES, "net", **more)


def test_the_recipe_stays_where_the_weights_fit_it(folder):
    assert _fit(folder, _net(4).state_dict()) == (SOURCE, SHAPES)


@pytest.mark.parametrize("spectral", [False, True], ids=["plain", "spectral norm"])
def test_other_sizes_are_read(folder, caplog, spectral):
    caplog.set_level(logging.INFO, "decig")
    net = _net(6, inputs=1)
    if spectral:
        nn.utils.spectral_norm(net[0])
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    source, shapes = _fit(folder, {"net": state, "step": 3})
    assert source.arguments == {"width": 6, "inputs": 1}
    assert shapes == {"input": [1, 1, 16, 6]}
    assert "w.pth: sizes read off the weights: width = 6, inputs = 1" in caplog.text
    assert "w.pth: the input is 1x1x16x6" in caplog.text


def test_other_arguments_of_the_recipe_and_shapes_of_the_user_stay(folder):
    source = Code("net.py:Net", {"width": 4, "bias": True}, sizes="read_sizes")
    found, shapes = _fit(folder, _net(6).state_dict(), source, given={"input"})
    assert found.arguments == {"width": 6, "inputs": 3, "bias": True}
    assert shapes == SHAPES


def test_weights_of_another_net_are_compared_with_the_recipe(folder):
    with pytest.raises(BadInputError, match=r"does not fit net: 4 missing \(0\.weight, .*1 not ex"):
        _fit(folder, {"weight": torch.zeros(3)})
    with pytest.raises(BadInputError, match=r"1 of another shape \(1\.weight 3x6x2x2 instead"):
        _fit(folder, _net(6).state_dict() | {"1.weight": torch.zeros(3, 6, 2, 2)})


def test_a_function_that_fails_is_named_with_its_line(folder):
    source = Code("net.py:Net", {"width": 4}, sizes="broken")
    with pytest.raises(BadInputError, match=r"net\.py:broken: for .*: AttributeError.*line 13"):
        _fit(folder, _net(6).state_dict(), source)
    with pytest.raises(BadInputError, match=r"net\.py:half: for .*: ValueError: not enough values"):
        _fit(folder, _net(6).state_dict(), Code("net.py:Net", {"width": 4}, sizes="half"))
    with pytest.raises(BadInputError, match="no class or function 'none'"):
        _fit(folder, _net(6).state_dict(), Code("net.py:Net", sizes="none"))
