"""`decig check` with networks that judge the pictures of a model of label maps."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.deploy.judges import features
from tests.deploy.judges.networks import (
    INCEPTION,
    PALETTE,
    SIDE,
    write_distance,
    write_features,
    write_segmenter,
    write_torchscript,
)
from tests.graph.tiny import parse
from tests.samples import call, decig, write_photos

COLOURS = ",".join(bytes(colour).hex() for colour in PALETTE.tolist())
PIXELS = ("--input-range", "0,1", "--output-range", "0,1", "--palette", COLOURS)
RGB = ("--channel-order", "rgb")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that paints label maps in colours that a segmenter knows, and one that swaps two."""
    folder = tmp_path_factory.mktemp("judges")
    for name, order in (("model", (0, 1, 2)), ("swapped", (2, 1, 0))):
        weight = 0.8 * np.eye(3, dtype=np.float32)[list(order)].reshape(3, 3, 1, 1)
        proto = parse(
            "p = Conv(x, w, b)",
            inputs=f"float[1,3,{SIDE},{SIDE}] x",
            outputs=f"float[1,3,{SIDE},{SIDE}] p",
            w=weight,
            b=np.array([0.1, 0.05, 0], np.float32),
        )
        onnx.save(proto, folder / f"{name}.onnx")
    for name in ("maps", "targets"):
        (folder / name).mkdir()
    random = np.random.default_rng(0)
    for number in range(3):
        ids = random.integers(0, 4, (3, 3)).repeat(SIDE // 3, 0).repeat(SIDE // 3, 1)
        for name in ("maps", "targets"):
            Image.fromarray(PALETTE[ids]).save(folder / name / f"{number}.png")
    write_features(folder / "net.onnx")
    write_distance(folder / "lpips.onnx")
    write_segmenter(folder / "labels.onnx")
    return folder


def _check(place: Path, *options: object) -> tuple:
    models = (place / "swapped.onnx", "--reference", place / "model.onnx")
    return ("check", *models, "--data", place / "maps", *PIXELS, *RGB, *options)


def test_figures_by_all_three_networks(place):
    networks = (
        "--inception", place / "net.onnx", "--lpips", place / "lpips.onnx",
        "--segmenter", place / "labels.onnx", "--targets", place / "targets",
    )  # fmt: skip
    found = call(*_check(place, *networks))
    assert found["inception"]["frechet_distance"] > 0
    assert np.isfinite(found["inception"]["kid"])
    assert "fid" not in found["inception"]
    assert found["inception"]["protocol"]["features"] == "net.onnx, 6 outputs"
    assert found["lpips"] > 0
    assert found["lpips_protocol"]["network"] == "lpips.onnx"
    labels = found["segmentation"]
    assert labels["accuracy"]["reference"] == labels["accuracy"]["real"] == 1
    assert labels["accuracy"]["candidate"] < 0.9
    assert labels["mean_iou"]["candidate"] < labels["mean_iou"]["reference"] == 1
    real = found["real"]
    far = real["inception"]["frechet_distance"]
    assert far["reference"] < far["candidate"]
    assert real["inception"]["kid"].keys() == {"reference", "candidate"}
    assert real["inception"]["protocol"]["pairs"] == 3
    assert 0 < real["lpips"]["reference"] < real["lpips"]["candidate"]


def test_what_people_see_of_them(place):
    networks = (
        "--inception", place / "net.onnx", "--lpips", place / "lpips.onnx",
        "--segmenter", place / "labels.onnx", "--targets", place / "targets",
    )  # fmt: skip
    shown = " ".join(decig(*_check(place, *networks)).stdout.split())
    for text in (
        "to the reference's pictures (3 pictures against 3",
        "features of net.onnx; to be compared with figures by the same file only",
        "LPIPS", "by lpips.onnx", "labels found in pictures", "pixel accuracy", "mean IoU",
        "labels by labels.onnx", "by net.onnx",
    ):  # fmt: skip
        assert text in shown, text


def test_without_them_nothing_changes(place):
    found = call(*_check(place))
    assert found["lpips"] is None
    assert not {"inception", "lpips_protocol", "segmentation"} & found.keys()


@pytest.mark.train
def test_fid_and_its_limit(place, tmp_path, monkeypatch):
    network = write_torchscript(tmp_path / "inception.pt", INCEPTION, tmp_path)
    asked = _check(place, "--inception", network, "--max-fid", "0.5", "--json")
    refused = decig(*asked)
    assert refused.exit_code == 2
    assert "inception.pt: is not the network of FID" in refused.stderr
    monkeypatch.setattr(features, "FID_SHA256", features.digest(network))
    result = decig(*asked)
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["inception"]["fid"] > 0.5
    assert found["failures"][0].startswith("FID ")
    assert "FID" in decig(*_check(place, "--inception", network)).stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--lpips", "lpips.onnx", "--max-lpips", "0.001"), "LPIPS"),
        (("--segmenter", "labels.onnx", "--min-iou", "0.99"), "mean IoU"),
    ],
)
def test_the_other_limits(place, options, told):
    network, file, *limit = options
    result = decig(*_check(place, network, place / file, *limit, "--json"))
    assert result.exit_code == 3
    (line,) = json.loads(result.stdout)["failures"]
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("option", "file"), [("--inception", "lpips"), ("--lpips", "net"), ("--segmenter", "lpips")]
)
def test_a_network_of_something_else_is_named(place, option, file):
    result = decig(*_check(place, option, place / f"{file}.onnx"))
    assert result.exit_code == 2
    assert f"{file}.onnx: " in result.stderr
    assert result.stderr.count("\n") == 1


def test_labels_are_looked_for_in_pictures_of_label_maps_only(place, tmp_path):
    model, photos = place / "model.onnx", write_photos(tmp_path / "photos")
    pixels = (*PIXELS[:4], *RGB)
    asked = ("check", model, "--reference", model, "--data", photos, *pixels)
    result = decig(*asked, "--segmenter", place / "labels.onnx")
    assert result.exit_code == 2
    assert "--segmenter compares with the label maps" in result.stderr
