import sys

import pytest

from decig.data.labels import Labels
from decig.deploy.judges.panel import GIVEN, Files, Panel
from decig.errors import BadInputError
from tests.deploy.judges.networks import write_distance, write_features, write_segmenter


@pytest.fixture(autouse=True)
def without_own_features(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)


def test_nothing_is_opened_that_nobody_gave():
    assert Panel.open(Files(), (16, 16), None) == Panel()


def test_every_file_is_opened_for_what_it_was_given(tmp_path):
    files = Files(
        write_features(tmp_path / "f.onnx"),
        write_distance(tmp_path / "d.onnx"),
        write_segmenter(tmp_path / "s.onnx"),
    )
    panel = Panel.open(files, (16, 16), Labels(ids=4))
    assert panel.features.keys() == {GIVEN}
    assert panel.features[GIVEN].kind.network == "f.onnx"
    assert panel.lpips.to_dict()["network"] == "d.onnx"
    assert panel.segmenter is not None
    with pytest.raises(BadInputError, match="take none"):
        Panel.open(files, (16, 16), None)
