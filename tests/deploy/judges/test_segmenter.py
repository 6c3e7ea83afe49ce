import numpy as np
import onnx
import pytest

from decig.data.labels import Labels
from decig.deploy.judges.segmenter import Segmenter
from decig.errors import BadInputError
from tests.deploy.judges.networks import PALETTE, write_distance, write_features, write_segmenter
from tests.graph.tiny import parse

LABELS = Labels(tuple(tuple(int(part) for part in colour) for colour in PALETTE))
SIZE = (16, 16)


def _map() -> tuple[np.ndarray, np.ndarray]:
    """A label map of four quarters, and a picture that shows them in the network's colours."""
    ids = np.arange(4).reshape(2, 2).repeat(8, 0).repeat(8, 1)
    return PALETTE[ids], PALETTE[ids].astype(np.float32) / 255


@pytest.mark.parametrize("numbers", [False, True])
def test_labels_that_are_found_and_some_that_are_not(tmp_path, numbers):
    segmenter = Segmenter(write_segmenter(tmp_path / "s.onnx", numbers=numbers), LABELS, SIZE)
    label_map, picture = _map()
    segmenter.add("reference", label_map, picture)
    spoilt = picture.copy()
    spoilt[:8, :8] = picture[8:, 8:]  # label 0 is seen as label 3
    segmenter.add("candidate", label_map, spoilt)
    found = segmenter.result()
    assert found.agreement["reference"].accuracy == found.agreement["reference"].mean_iou == 1
    assert found.agreement["candidate"].accuracy == 0.75
    assert found.agreement["candidate"].mean_iou == (0 + 1 + 1 + 0.5) / 4
    assert found.to_dict()["mean_iou"] == {"reference": 1, "candidate": 0.625}


def test_the_labels_of_small_pictures_are_enlarged(tmp_path):
    segmenter = Segmenter(write_segmenter(tmp_path / "s.onnx"), LABELS, SIZE)
    label_map, picture = _map()
    segmenter.add("reference", label_map, picture[::2, ::2])
    assert segmenter.result().agreement["reference"].accuracy == 1


def test_pixels_without_a_label_do_not_count(tmp_path):
    labels = Labels(ids=4, unknown="none")
    segmenter = Segmenter(write_segmenter(tmp_path / "s.onnx"), labels, SIZE)
    ids = np.arange(4).reshape(2, 2).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    picture = PALETTE[ids[::-1]].astype(np.float32) / 255
    ids[:, :8] = 255
    ids[:8, 8:] = 3  # what the upper right shows, upside down
    segmenter.add("reference", np.repeat(ids[..., None], 3, axis=2), picture)
    assert segmenter.result().agreement["reference"].accuracy == 0.5


def test_pictures_that_hold_no_numbers_are_mistakes(tmp_path):
    segmenter = Segmenter(write_segmenter(tmp_path / "s.onnx"), LABELS, SIZE)
    label_map, picture = _map()
    picture[0, 0] = np.nan
    segmenter.add("candidate", label_map, picture)
    assert segmenter.result().agreement["candidate"].accuracy == 0


def test_networks_of_something_else_are_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"these take none \(--one-hot"):
        Segmenter(write_segmenter(tmp_path / "s.onnx"), None, SIZE)
    with pytest.raises(BadInputError, match="tells 7 labels apart, but label maps have 4"):
        Segmenter(write_segmenter(tmp_path / "s.onnx", 7), LABELS, SIZE)
    with pytest.raises(BadInputError, match="takes 2 pictures; a network of labels takes one"):
        Segmenter(write_distance(tmp_path / "d.onnx"), LABELS, SIZE)
    with pytest.raises(BadInputError, match="tells 6 labels apart"):
        Segmenter(write_features(tmp_path / "f.onnx"), LABELS, SIZE)
    proto = parse(
        "y = ReduceMean<axes=[1],keepdims=0>(x)",
        inputs="float[1,3,h,w] x",
        outputs="float[1,h,w] y",
    )
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(BadInputError, match="gives float32 1x16x16 for a picture; wanted are"):
        Segmenter(tmp_path / "m.onnx", LABELS, SIZE)
