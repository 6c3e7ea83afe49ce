"""Other people's models, from the folder that DECIG_ZOO names: half of each, against the oracle."""

import os
from pathlib import Path

import onnx
import pytest

from decig.deploy.cutter import Cutter
from decig.errors import BadInputError
from decig.graph.model import load_model
from decig.source.source import Source

FOLDER = os.environ.get("DECIG_ZOO")
FILES = sorted(Path(FOLDER).rglob("*.onnx")) if FOLDER else []


@pytest.mark.slow
@pytest.mark.skipif(not FILES, reason="DECIG_ZOO names no folder of .onnx files")
@pytest.mark.parametrize("path", FILES or [Path("none")], ids=lambda path: path.stem)
def test_half_of_every_group(path: Path, tmp_path: Path):
    model = load_model(path, _sizes(path))
    source = Source(model, {}, model.sha256)
    cutter = Cutter(source)
    try:
        cut = cutter.cut(cutter.keep(0.5), verify=True)  # raises if the oracle differs
    except BadInputError as error:
        pytest.skip(f"ONNX Runtime does not run it on noise: {error}")
    cut.save(tmp_path / "half.onnx", source)
    assert load_model(tmp_path / "half.onnx").proto.graph.node


def _sizes(path: Path) -> dict[str, list[int]]:
    """A likely size for every input with dynamic axes but a batch."""
    graph = onnx.load(path, load_external_data=False).graph
    constant = {tensor.name for tensor in graph.initializer}
    sizes = {}
    for value in graph.input:
        dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if value.name not in constant and any(size <= 0 for size in dims[1:]):
            likely = (1, 3, 64, 64) if len(dims) == 4 else (1, *[64] * (len(dims) - 1))
            pairs = zip(dims, likely, strict=True)
            sizes[value.name] = [size if size > 0 else other for size, other in pairs]
    return sizes
