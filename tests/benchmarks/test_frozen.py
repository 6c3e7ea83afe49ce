"""The table of frozen multiply-accumulates, on graphs whose shares are known."""

import json
from pathlib import Path

import frozen
import frozen_nets
import onnx
import pytest
from click.testing import CliRunner, Result
from frozen_macs import PICTURE, frozen_macs, kind_of
from frozen_nets import Architecture, Net

from decig.errors import DecigError
from decig.graph.model import Model, load_model, normalise
from tests.graph.tiny import parse
from tests.samples import write_generator

RANKED = "softmax, sorting or ranking over channels"
BODY = "[c1] a = Conv(x, w1)\n [c2] b = Conv(a, w2)\n {}\n [c3] y = Conv(h, w3)"
WEIGHTS = {"w1": (8, 3, 1, 1), "w2": (6, 8, 1, 1), "w3": (3, 6, 1, 1)}
MACS = 64 * (3 * 8 + 8 * 6 + 6 * 3)


def graph(middle: str) -> onnx.ModelProto:
    return parse(BODY.format(middle), **WEIGHTS)


def test_both_sides_frozen_or_one():
    found = frozen_macs(normalise(graph("[top] h = Hardmax<axis=1>(b)")))
    assert found.total == MACS
    # c3 reads and makes what must stay; c2 can lose what it reads alone, c1 what it makes.
    assert found.frozen == {RANKED: 64 * 6 * 3}
    assert found.one_sided == {RANKED: 64 * 8 * 6}
    assert found.examples == {RANKED: "Hardmax top compares channels"}


def test_what_can_all_be_cut_has_no_frozen_part():
    found = frozen_macs(normalise(graph("h = Relu(b)")))
    assert (found.frozen, found.one_sided) == ({}, {})


def test_a_layer_from_picture_to_picture_is_no_fault():
    found = frozen_macs(normalise(parse("[c] y = Conv(x, w)", w=(3, 3, 1, 1))))
    assert found.frozen == {PICTURE: 64 * 9}


def test_products_of_computed_operands():
    """Rows times columns of a map without channels, and queries times keys."""
    body = """
        [q] q = MatMul(x, w1)
        t = Transpose<perm=[0,2,1]>(q)
        s = MatMul(q, t)
        [m] p = MatMul(s, s)
        [v] v = MatMul(x, w2)
        o = MatMul(p, v)
        [e] y = MatMul(o, w3)
    """
    sizes = {"w1": (6, 8), "w2": (6, 8), "w3": (8, 3)}
    proto = parse(body, inputs="float[1,5,6] x", outputs="float[B,M,N] y", **sizes)
    found = frozen_macs(normalise(proto))
    assert found.frozen == {"attention maps and other tensors without channels": 5 * 5 * 5}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("operator Foo of node /a/b is not known", "operators and attributes without a rule"),
        ("graph output y", PICTURE),
        ("Gather /up/Gather_1 picks single channels", "single channels"),
        ("Wonder /up/Wonder_1 does wonders", "Wonder does wonders"),
    ],
)
def test_kinds(reason: str, kind: str):
    assert kind_of(reason) == kind


def nets(folder: Path) -> list[Net]:
    def absent(_: Path) -> Model:
        raise DecigError("it is not there")

    onnx.save(graph("[top] h = Hardmax<axis=1>(b)"), folder / "ranked.onnx")
    small = write_generator(folder / "small.onnx", size=32)
    return [
        Net("own", "small", lambda _: load_model(small)),
        Net("own", "ranked", lambda _: load_model(folder / "ranked.onnx")),
        Net("others", "missing", absent),
    ]


def called(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: object) -> Result:
    monkeypatch.setattr(frozen, "every", lambda: nets(folder))
    given = ["--results", str(folder), "--exports", str(folder / "exports"), *map(str, more)]
    return CliRunner().invoke(frozen.main, given)


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_command_writes_both_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    result = called(monkeypatch, tmp_path)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "frozen.md").read_text()
    shares = [f"{64 * n / MACS:.1%}" for n in (18, 48)]
    assert cells(text, "| own | ranked")[2:] == ["0.00", *shares, RANKED]
    assert cells(text, "| own | small")[3:] == ["0.0%", "0.0%", ""]
    assert cells(text, f"| {RANKED}")[1:4] == ["1", f"{32 * 18 / MACS:.2%}", f"{shares[0]} ranked"]
    assert "- missing: it is not there" in text
    stored = json.loads((tmp_path / "frozen.json").read_text())
    assert stored["command"] == "python benchmarks/frozen.py" and stored["machine"]["cpu"] in text
    assert [row["name"] for row in stored["graphs"]] == ["small", "ranked", "missing"]
    (tmp_path / "old.json").write_bytes((tmp_path / "frozen.json").read_bytes())
    again = called(monkeypatch, tmp_path, "--before", tmp_path / "old.json", "--only", "own")
    assert again.exit_code == 0, again.output
    text = (tmp_path / "frozen.md").read_text()
    assert cells(text, "| own | ranked")[-2:] == shares and "missing" not in text


def test_nothing_to_count_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    result = called(monkeypatch, tmp_path, "--only", "others")
    assert result.exit_code == 1 and "missing: it is not there" in result.output


def test_every_source_has_a_name_of_its_own(tmp_path: Path):
    found = list(frozen_nets.every(tmp_path))
    assert len({(net.family, net.name) for net in found}) == len(found) > 60
    with pytest.raises(DecigError, match="suite is not there"):
        next(net for net in found if net.family == "suite").load(tmp_path)


@pytest.mark.train
def test_an_architecture_is_exported_once(tmp_path: Path):
    line = Architecture(
        "torch.nn:Conv2d", 8, {"in_channels": 3, "out_channels": 3, "kernel_size": 1}
    )
    first = line.load("line", tmp_path)
    written = (tmp_path / "line.onnx").read_bytes()
    assert line.load("line", tmp_path).sha256 == first.sha256
    assert (tmp_path / "line.onnx").read_bytes() == written
