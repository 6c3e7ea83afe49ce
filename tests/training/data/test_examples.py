from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest

from decig.data import images
from decig.data.crops import fit
from decig.data.inputs import Pictures
from decig.errors import BadInputError
from decig.graph.model import normalise
from decig.training.compression.adversary import AUTO
from decig.training.data import examples as examples_module
from decig.training.data.examples import Examples, Folders, kept_of
from tests.samples import write_photos
from tests.training.graphs import code_generator, with_input
from tests.training.small import small
from tests.training.tiny import tiny_generator


def examples(
    folder: Path, proto: onnx.ModelProto | None = None, *, whole: bool = False, **changes: Any
) -> Examples:
    asked = small(folder, proto, **changes)
    seed = asked.config.train.seed
    return Examples(asked.teacher, asked.folders, asked.config.distil, seed=seed, whole=whole)


def test_images_are_held_out_by_the_seed(tmp_path: Path) -> None:
    splits = []
    for seed in (0, 0, 1):
        made = examples(tmp_path, photos=8, settings={"seed": seed, "held_out": 3})
        names = [[e.name for e in part] for part in (made.training, made.held_out)]
        assert sorted(names[0] + names[1]) == list("abcdefgh")
        assert len(names[1]) == 1  # a fifth at most
        splits.append(names)
    assert splits[0] == splits[1] != splits[2]
    assert len(examples(tmp_path, photos=8, settings={"held_out": 0}).held_out) == 1


@pytest.mark.parametrize("damaged", ["photos", "targets"])
def test_one_image_that_cannot_be_read_moves_no_other(tmp_path: Path, damaged: str) -> None:
    """Neither into what is held out, nor out of it."""
    changes: dict[str, Any] = {"photos": 16}
    if damaged == "targets":
        changes["targets"] = write_photos(tmp_path / "targets", 16, 60, 64)
    made = examples(tmp_path, **changes)
    whole = [[e.name for e in part] for part in (made.training, made.held_out)]
    order = np.random.default_rng(0).permutation(16)
    assert whole[0] + whole[1] == ["abcdefghijklmnop"[place] for place in order]
    folder = tmp_path / damaged
    changes |= {"photos": 0, "images": tmp_path / "photos"}
    for gone in (whole[0][0], whole[1][0]):
        (file,) = folder.glob(f"{gone}.*")
        content = file.read_bytes()
        file.write_bytes(b"damaged")
        made = examples(tmp_path, **changes)
        found = [[e.name for e in part] for part in (made.training, made.held_out)]
        assert found == [[name for name in part if name != gone] for part in whole]
        file.write_bytes(content)


def test_there_is_one_to_judge_by_where_none_of_those_drawn_can_be_read(tmp_path: Path) -> None:
    held_out = examples(tmp_path, photos=4).held_out[0].name
    next((tmp_path / "photos").glob(f"{held_out}.*")).write_bytes(b"damaged")
    made = examples(tmp_path, images=tmp_path / "photos", photos=0)
    assert (len(made.training), len(made.held_out)) == (2, 1)


@pytest.mark.parametrize(
    ("count", "asked", "kept"),
    [
        (2, AUTO, 1),
        (12, AUTO, 2),
        (39, AUTO, 7),
        (40, AUTO, 8),
        (71, AUTO, 8),
        (72, AUTO, 9),
        (96, AUTO, 12),
        (5000, AUTO, 12),
        (48, 12, 9),
        (60, 12, 12),
        (96, 19, 19),
        (96, 1, 1),
        (96, 0, 1),
    ],
)
def test_a_dozen_are_held_out_where_there_are_enough(
    count: int, asked: int | Literal["auto"], kept: int
) -> None:
    assert kept_of(count, asked) == kept


def test_images_are_fed_as_check_feeds_them(tmp_path: Path) -> None:
    asked, made = small(tmp_path), examples(tmp_path)
    found = dict(zip((e.name for e in made.training), made.feeds(made.training), strict=True))
    teacher, photos = asked.teacher, asked.folders.images
    pictures = {p.name: p for p in Pictures(photos, teacher.model.proto, teacher.pixels)}
    for name, feeds in found.items():
        np.testing.assert_allclose(feeds["input"], pictures[name].feeds["input"], atol=0.02)
    example = made.training[0]
    fitted = fit(example.images[0], 48, 48)
    np.testing.assert_array_equal(
        found[example.name]["input"], teacher.pixels.to_tensor(fitted[None])
    )


def test_images_are_stored_as_large_as_crops_can_use(tmp_path: Path) -> None:
    large = write_photos(tmp_path / "large", 4, 300, 400)
    made = examples(tmp_path, images=large)
    assert {min(e.images[0].shape[:2]) for e in made.training} == {round(1.6 * 48)}
    tiny = write_photos(tmp_path / "tiny", 4, 36, 40)
    for whole, side in ((False, 36), (True, 48)):  # crops have 32 pixels, whole ones 48
        made = examples(tmp_path, images=tiny, whole=whole)
        assert {min(e.images[0].shape[:2]) for e in made.training} == {side}


def test_targets_are_read_beside_their_images(tmp_path: Path) -> None:
    targets = write_photos(tmp_path / "targets", 6, 60, 64)
    made = examples(tmp_path, targets=targets)
    assert made.paired and not examples(tmp_path).paired
    for example in (*made.training, *made.held_out):
        image, target = example.images
        assert image.shape == target.shape == (60, 64, 3)
        assert np.array_equal(image, target)  # the same random photos by the same names


def test_what_goes_in_beside_an_image_depends_on_its_name_and_the_seed(tmp_path: Path) -> None:
    proto = with_input("noise", 1, 7)
    made = examples(tmp_path, proto, feeds={"noise": "normal"})
    first, second = made.feeds(made.training[:2])
    assert not np.array_equal(first["noise"], second["noise"])
    again = made.feeds(made.training[1::-1])
    assert np.array_equal(again[1]["noise"], first["noise"])
    assert np.array_equal(again[0]["noise"], second["noise"])
    other = examples(tmp_path, proto, feeds={"noise": "normal"}, settings={"seed": 1})
    example = next(e for e in other.training + other.held_out if e.name == made.training[0].name)
    assert not np.array_equal(other.feeds([example])[0]["noise"], first["noise"])


def test_a_model_without_an_image_is_fed_by_draws(tmp_path: Path) -> None:
    made = examples(tmp_path, code_generator(), images=None, feeds={"code": "normal"})
    assert made.size == (48, 48)
    assert made.crop() is None and made.input_channels == 0
    codes = [feeds["code"] for feeds in made.feeds(made.training)]
    assert len(codes) == 62 and len(np.unique(np.concatenate(codes), axis=0)) == 62


def test_crops_are_no_larger_than_the_model(tmp_path: Path) -> None:
    for crop, size in ((32, (32, 32)), (128, (48, 48)), (0, (48, 48))):
        made = examples(tmp_path, settings={"crop": crop})
        assert made.crop() == size
        assert made.crop(whole=True) == (48, 48)


def test_repair_looks_at_some_of_the_training_images(tmp_path: Path) -> None:
    made = examples(tmp_path, photos=8)
    wanted = made.feeds(made.training[:4])
    assert len(made.for_repair) == 4
    for found, each in zip(made.for_repair, wanted, strict=True):
        assert np.array_equal(found["input"], each["input"])


def test_images_are_read_when_they_are_asked_for_the_first_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = images.read_image

    def counted(path: Path, **options: bool) -> np.ndarray:
        read.append(path.stem)
        return original(path, **options)

    monkeypatch.setattr(images, "read_image", counted)
    made = examples(tmp_path, photos=5)
    assert read == []
    assert made.first.name == "a" and read == ["a"]
    assert len(made.training) == 4 and len(read) == 6
    assert len(made.held_out) == 1 and len(made.for_repair) == 4 and len(read) == 6


def test_more_images_than_memory_holds_are_refused_once_some_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = 60 * 64 * 3
    monkeypatch.setattr(examples_module, "_SAMPLED", 3)
    monkeypatch.setattr(examples_module, "free_bytes", lambda _: 5 * each)
    assert len(examples(tmp_path, photos=8).training) == 7  # three of eight are in memory already
    monkeypatch.setattr(examples_module, "free_bytes", lambda _: 5 * each - 1)
    made = examples(tmp_path, photos=8)
    assert made.first.name == "a"
    message = r"photos: 8 images take about 0\.0 GB of memory, and 0\.0 GB are free: give fewer"
    with pytest.raises(BadInputError, match=message):
        _ = made.training


def test_pairs_are_matched_before_any_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = write_photos(tmp_path / "targets", 6, 60, 64)
    next(targets.glob("f.*")).unlink()
    made = examples(tmp_path, targets=targets)
    monkeypatch.setattr(images, "read_image", lambda _: pytest.fail("an image was read"))
    with pytest.raises(BadInputError, match=r"f\.\w+: no image called f in .*targets"):
        _ = made.first


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="photos: one image is not enough; give at least two"):
        examples(tmp_path, photos=1)
    with pytest.raises(BadInputError, match="give a folder of images"):
        examples(tmp_path, images=None)
    photos = tmp_path / "photos"
    with pytest.raises(BadInputError, match="--targets needs a model that takes images"):
        examples(tmp_path, code_generator(), feeds={"code": "normal"}, targets=photos)
    proto = with_input("map", 1, 1, 48, 48)
    with pytest.raises(BadInputError, match="input map is a map as large as the image"):
        examples(tmp_path, proto, feeds={"map": "files"})


def test_a_model_of_other_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="5 channels"):
        examples(tmp_path, _of_five_channels())


def _of_five_channels() -> onnx.ModelProto:
    proto = tiny_generator(size=48, width=16)
    weight = next(t for t in proto.graph.initializer if t.name == "c1.weight")
    wide = np.zeros((16, 5, 3, 3), np.float32)
    weight.CopyFrom(onnx.numpy_helper.from_array(wide, "c1.weight"))
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    return normalise(proto)


def test_folders_are_recorded_as_they_were_given() -> None:
    nothing = dict.fromkeys(("images", "targets", "unpaired", "discriminator"))
    assert Folders(Path("a/b")).record() == nothing | {"images": "a/b"}
    assert Folders(None, Path("c")).record() == nothing | {"targets": "c"}


def test_pairs_side_by_side_are_told(tmp_path, caplog):
    """In the folder of images, and in that of real pictures."""
    write_photos(tmp_path / "joined", 3, 60, 120)
    write_photos(tmp_path / "single", 3, 60, 60)
    for given, told in (({}, 0), ({"images": "joined"}, 1), ({"unpaired": "joined"}, 1)):
        caplog.clear()
        names = {"images": "single"} | given
        asked = small(tmp_path, photos=2)
        Examples(
            asked.teacher,
            Folders(**{key: tmp_path / name for key, name in names.items()}),
            asked.config.distil,
            seed=0,
            whole=False,
        )
        assert caplog.text.count("pairs side by side") == told, names
