from pathlib import Path

import pytest
from torch import nn

from decig.errors import BadInputError
from decig.source.recipe import Code
from decig.training.pytorch.generator import build_generator, check_pictures, noise, run_once

CODE = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 1))
def number(width):
    return width
def make(width=2):
    print("noise on stdout")
    return Net(width)
def fails():
    return make(-1)
ready = Net(3)
"""


class Single(nn.Module):
    def forward(self, x, noise=None):
        return x


class Styled(nn.Module):
    def forward(self, image, style, noise=None):
        return image * style


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text("from .parts import Net as Gen\n")
    (package / "parts.py").write_text(CODE)
    return tmp_path


@pytest.mark.parametrize("python", ["net.py:Net", "net.py:make", "some_package.nets:Gen"])
def test_classes_and_functions_are_called_with_their_arguments(folder, python, capsys):
    net = build_generator(Code(python, {"width": 5}), folder)
    assert net[0].out_channels == 5
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("python", "arguments", "message"),
    [
        ("absent.py:Net", {}, r"absent\.py: no such Python file"),
        ("absent:Net", {}, "absent: no such Python module in"),
        ("some_package.no:Net", {}, r"some_package\.no: no such Python module"),
        ("net.py:Absent", {}, "has no class or function 'Absent'"),
        ("net.py:Net", {"depth": 2}, r"missing a required argument: 'width'; .* \[source\] arg"),
        ("net.py:make", {"depth": 2}, "unexpected keyword argument 'depth'"),
        ("net.py:number", {"width": 2}, "gives a int, not a torch.nn.Module"),
        ("net.py:ready", {}, "no class and no function"),
        ("net.py:fails", {}, r"net\.py:fails: RuntimeError: .* \(net\.py, line 5\)"),
    ],
)
def test_errors_name_what_was_asked_for(folder, python, arguments, message):
    with pytest.raises(BadInputError, match=message) as caught:
        build_generator(Code(python, arguments), folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nosuch", r"ModuleNotFoundError: No module named 'nosuch' \(net\.py, line 1\)"),
        ("x = 1\nclass Net(:", r"SyntaxError: .* \(net\.py, line 2\)"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("\n\nx = 1 / 0", r"ZeroDivisionError: division by zero \(net\.py, line 3\)"),
    ],
)
def test_code_that_does_not_run_is_named_with_its_line(tmp_path, code, message):
    (tmp_path / "net.py").write_text(code)
    with pytest.raises(BadInputError, match=rf"^net\.py:Net: {message}"):
        build_generator(Code("net.py:Net"), tmp_path)


@pytest.mark.parametrize("code", ["from .parts import Net", "from ..top import Net"])
@pytest.mark.parametrize("regular", [True, False])
def test_relative_imports_are_answered_with_the_name_that_works(tmp_path, code, regular):
    own = f"{'regular' if regular else 'bare'}_{len(code)}"  # no other test has imported it
    folder = tmp_path / f"top_{own}" / own
    folder.mkdir(parents=True)
    for place in (folder, folder.parent):
        for name in ("parts", "top"):
            (place / f"{name}.py").write_text("import torch\nNet = torch.nn.Identity")
        if regular:
            (place / "__init__.py").write_text("")
    (folder / "net.py").write_text(code)
    with pytest.raises(BadInputError, match="imports relative to its package: name it ") as caught:
        build_generator(Code("net.py:Net"), folder)
    message = str(caught.value)
    name, _, home = message.partition("name it ")[2].partition(":Name, in the folder ")
    home = home.partition(" or ")[0]
    assert name == (f"top_{own}.{own}.net" if regular or ".." in code else f"{own}.net")
    assert isinstance(build_generator(Code(f"{name}:Net"), Path(home)), nn.Module)


def test_interrupts_pass_through(tmp_path):
    (tmp_path / "net.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        build_generator(Code("net.py:Net"), tmp_path)


def test_what_lies_beside_a_file_can_be_imported(tmp_path):
    (tmp_path / "sibling_of_net.py").write_text(CODE)
    (tmp_path / "net.py").write_text("from sibling_of_net import make as Net")
    assert build_generator(Code("net.py:Net"), tmp_path)[0].out_channels == 2


def test_inputs_come_in_the_order_of_forward():
    net = Styled()
    made = noise(net, {"style": [1, 1, 1, 1], "image": [1, 3, 4, 4]}, "net")
    assert [*made] == ["image", "style"]
    assert [*noise(nn.Conv2d(3, 3, 1), {"input": [1, 3, 4, 4]}, "net")] == ["input"]
    for name in ("", "x", "input"):
        assert noise(Single(), {name: [2]}, "net").keys() == {"input"}
    for shapes in ({}, {"style": [1]}, {"": [1]}, {"image": [1]}, {"image": [1], "noise": [1]}):
        with pytest.raises(BadInputError, match=r"--input-shape image:.* --input-shape style:"):
            noise(net, shapes, "net")


def test_nets_that_give_no_tensor_are_refused():
    with pytest.raises(BadInputError, match="forward returns nothing"):
        run_once(Nothing(), [], "net")


class Nothing(nn.Module):
    def forward(self):
        return []


def test_nets_that_give_no_picture_are_refused():
    with pytest.raises(BadInputError, match="training needs"):
        check_pictures(nn.Conv2d(3, 1, 3, padding=1), [1, 3, 32, 32])
    with pytest.raises(BadInputError, match="cannot take an input of 1x3x32x32: RuntimeError"):
        check_pictures(nn.Conv2d(4, 3, 3, padding=1), [1, 3, 32, 32])
