"""Bad input is refused before anything expensive: no session is opened and no image is read."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from decig.data.pixels import PixelFormat
from decig.source.stamp import pixels_entry, stamp
from tests.curves import write_curves
from tests.graph.tiny import parse
from tests.samples import (
    PIXELS,
    decig,
    generator,
    write_dynamic_generator,
    write_generator,
    write_other_groups,
    write_photos,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, a cost table, and everything that is wrong with something."""
    folder = tmp_path_factory.mktemp("early")
    write_generator(folder / "m.onnx", size=12)
    write_generator(folder / "other.onnx", size=12, seed=1)
    write_generator(folder / "large.onnx", size=16)
    write_generator(folder / "four.onnx", size=12, channels=4)
    broken = generator(size=12)
    weight = next(t for t in broken.graph.initializer if t.name == "head.weight")
    array = numpy_helper.to_array(weight).copy()
    array[0, 0, 0, 0] = np.nan
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    onnx.save(broken, folder / "nan.onnx")
    styled = parse(
        "c = Conv<pads=[1,1,1,1]>(x, w)\n s = Gemm(style, v)\n s4 = Unsqueeze(s, at)\n"
        "d = Add(c, s4)\n y = Conv(d, u)",
        inputs="float[1,3,12,12] x, float[1,5] style",
        outputs="float[1,3,12,12] y",
        w=(8, 3, 3, 3),
        v=(5, 8),
        at=[2, 3],
        u=(3, 8, 1, 1),
    )
    onnx.save(styled, folder / "style.onnx")
    write_photos(folder / "photos", 2)
    (folder / "empty").mkdir()
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{}")
    (folder / "damaged.json").write_text("{")
    (folder / "plan.json").write_text('{"schema_version": 1, "model_sha256": "0", "keep": {}}')
    (folder / "typo.toml").write_text("corp = 64")
    (folder / "text.txt").write_text("no folder")
    assert decig("profile", folder / "m.onnx", "-o", folder / "t.json", "--quick").exit_code == 0
    write_other_groups(folder / "groups.json", folder / "t.json")
    table = json.loads((folder / "t.json").read_text())
    (folder / "bare.json").write_text(json.dumps(table | {"sweep": []}))
    write_photos(folder / "one", 1)
    (folder / "l1.toml").write_text("[distil]\nadversarial = 0.0\n")
    return folder


class ExpensiveError(Exception):
    """Something was started that takes long."""


@pytest.fixture(autouse=True)
def nothing_expensive(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def start(*_: object, **__: object):
        raise ExpensiveError("ExpensiveError")

    monkeypatch.setattr("onnxruntime.InferenceSession", start)
    monkeypatch.setattr("PIL.Image.open", start)


PROFILE = "profile {f}/m.onnx -o {f}/out"
INSPECT = "inspect {f}/m.onnx"
SLICE = "slice {f}/m.onnx -o {f}/out --keep 0.5"
REPAIR = f"{SLICE} --repair {{f}}/photos"
COMPRESS = "compress {f}/m.onnx --profile {f}/t.json --output-dir {f}/new --target-speedup 1.1"
TRAINED = f"{COMPRESS} --data {{f}}/photos"
L1 = "--config {f}/l1.toml"
EXPORT = "export {f}/m.onnx -o {f}/out"
INT8 = f"{EXPORT} --precision int8"
CHECK = "check {f}/m.onnx --reference {f}/other.onnx"
ALL = (PROFILE, INSPECT, SLICE, REPAIR, TRAINED, EXPORT, f"{CHECK} --data {{f}}/photos")

CASES = [
    *(
        (
            f"{command} --input-shape image:1,4,12,12",
            "m.onnx: --input-shape image:1,4,12,12: this input has 3 channels (axis 1), not 4",
        )
        for command in ALL
    ),
    *(
        (
            command.replace("m.onnx", "nan.onnx"),
            "nan.onnx: initializer head.weight holds NaN (1 of "
            "its 216 values), which spoils Conv head",
        )
        for command in ALL
    ),
    (f"{PROFILE} --ep abacus", "execution provider 'abacus' is not known"),
    (f"{PROFILE} --ep-option x=1", "option 'x': the execution provider 'cpu' has no options"),
    (f"{PROFILE} --input-shape y:1,3,12,12", "--input-shape y: no such input"),
    ("profile {f}/none.onnx -o {f}/out", "none.onnx: cannot read this model"),
    (f"{INSPECT} --profile {{f}}/damaged.json", "damaged.json: this cost table is not valid JSON"),
    (f"{INSPECT} --profile {{f}}/groups.json", "other channel groups"),
    (f"{INSPECT} --plan {{f}}/damaged.json", "damaged.json: this plan is not valid JSON"),
    (f"{INSPECT} --plan {{f}}/plan.json", "the plan was made for another model"),
    ("slice {f}/m.onnx -o {f}/out --plan {f}/plan.json", "plan was made for another model"),
    ("slice {f}/other.onnx -o {f}/out --keep 0.5 --profile {f}/t.json", "made for another model"),
    (f"{SLICE} --profile {{f}}/groups.json", "other channel groups"),
    (f"{SLICE} --profile {{f}}/bare.json", "no width sweep"),
    (f"{REPAIR} {' '.join(PIXELS)} --profile {{f}}/bare.json", "no width sweep"),
    ("slice {f}/m.onnx -o {f}/out --target-latency 1ms", "--target-latency needs --profile"),
    (f"{SLICE} --feed y=normal", "y is declared to be fed, but the model's inputs are image"),
    (f"{SLICE} --feed image=often", "input image cannot be fed 'often'"),
    (REPAIR, "does not say what its pixels are: give --input-range"),
    (f"{SLICE} --repair {{f}}/empty {' '.join(PIXELS)}", "empty: no images there"),
    (f"{SLICE} --repair {{f}}/none {' '.join(PIXELS)}", "none: no such folder"),
    (f"{SLICE} --repair {{f}}/text.txt {' '.join(PIXELS)}", "text.txt: no such folder"),
    (
        f"{REPAIR} {' '.join(PIXELS)} --layout nchw".replace("m.onnx", "four.onnx"),
        "input has 4 channels; images have 1 (luma) or 3 (RGB or BGR). Is the layout right? If it "
        "takes label maps, give --one-hot 4 or --one-hot RRGGBB,...",
    ),
    (f"{REPAIR} {' '.join(PIXELS)} --one-hot 5 --layout nchw", "maps of 5 labels have 5"),
    (
        f"{REPAIR} {' '.join(PIXELS)}".replace("m.onnx", "style.onnx"),
        "input style (1x5) takes no image: say what feeds it (normal, uniform, zeros, files, "
        "files:LOW,HIGH or a number), as in --feed style=normal or under [feeds] in a recipe",
    ),
    (f"{COMPRESS} --data {{f}}/none", "does not exist"),
    (f"{COMPRESS} --data {{f}}/one {' '.join(PIXELS)}", "one image is not enough"),
    (
        f"{TRAINED} {' '.join(PIXELS)} --targets {{f}}/one {L1}",
        "no image called b",
    ),
    (f"{TRAINED} {' '.join(PIXELS)}".replace("t.json", "bare.json"), "no width sweep"),
    (f"{TRAINED} {' '.join(PIXELS)} --method none", "no method is called 'none'"),
    (f"{COMPRESS} --data {{f}}/photos", "does not say what its pixels are: give --input-range"),
    (f"{COMPRESS} {' '.join(PIXELS)}", "give --data DIR: MODEL is fed images, or files"),
    (f"{TRAINED} {' '.join(PIXELS)} --config {{f}}/typo.toml", "typo.toml"),
    (f"{TRAINED} {' '.join(PIXELS)}".replace("/new", "/run"), "run: holds a run already; use --re"),
    (f"{TRAINED} {' '.join(PIXELS)} --resume", "new: holds no run that could go on"),
    ("compress --resume --output-dir {f}/new", "new holds no run that could go on"),
    ("train --resume --output-dir {f}/new", "new holds no run that could go on"),
    (f"{TRAINED} {' '.join(PIXELS)}".replace("--target-speedup 1.1", ""), "give --target-latency"),
    (
        f"{COMPRESS.replace('--target-speedup 1.1', '')}",
        "give --input-range LOW,HIGH (0,255 or 0,1 or -1,1) --output-range LOW,HIGH "
        "--channel-order rgb|bgr (or rgba, bgra, lab); give --data DIR: MODEL is fed images, or "
        "files; give --target-latency, --target-speedup or --target-macs",
    ),
    (f"{TRAINED} {' '.join(PIXELS)}".replace("/new", "/text.txt"), "text.txt is no folder"),
    (f"{TRAINED} {' '.join(PIXELS)}".replace("m.onnx", "other.onnx"), "made for another model"),
    (
        f"{TRAINED} {' '.join(PIXELS)} --layout nchw".replace("m.onnx", "four.onnx"),
        "give --one-hot 4",
    ),
    (f"{TRAINED} {' '.join(PIXELS)}".replace("t.json", "groups.json"), "other channel groups"),
    (f"{EXPORT} --precision int4", "'int4' is not one of"),
    (f"{EXPORT} --opset 99", "opset 99: the graph cannot be converted"),
    (INT8, "--precision int8 needs --calibration DIR"),
    (f"{INT8} --calibration {{f}}/photos", "does not say what its pixels are"),
    (f"{INT8} --calibration {{f}}/empty {' '.join(PIXELS)}", "empty: no images there"),
    (f"{INT8} --calibration {{f}}/photos {' '.join(PIXELS)} --opset 12", "needs --opset 13"),
    (f"{EXPORT} --pixel-io", "does not say what its pixels are"),
    (
        f"{EXPORT} --pixel-io --layout nchw {' '.join(PIXELS)}".replace("m.onnx", "four.onnx"),
        "input has 4 channels",
    ),
    (CHECK, "Give --data DIR"),
    (f"{CHECK} --data {{f}}/photos", "does not say what its pixels are"),
    (f"{CHECK} --data {{f}}/empty {' '.join(PIXELS)}", "empty: no images there"),
    (f"{CHECK} --data {{f}}/photos {' '.join(PIXELS)} --feed y=normal", "y is declared to be fed"),
    (f"{CHECK} --data {{f}}/photos {' '.join(PIXELS)} --grid {{f}}/none/g.png", "not written"),
    (
        f"{CHECK} --data {{f}}/photos {' '.join(PIXELS)}".replace("other.onnx", "large.onnx"),
        "m.onnx takes 1x3x12x12, but",
    ),
    ("train {f}/none --output-dir {f}/new", "does not exist"),
    ("train {f}/typo.toml --output-dir {f}/new", "typo.toml: unknown key corp"),
    ("train {f}/typo.toml --output-dir {f}/text.txt", "text.txt is no folder"),
    ("train {f}/typo.toml --output-dir {f}/new --data {f}/none", "does not exist"),
]


def marked(line: str, message: str):
    """Mark a case whose command needs PyTorch."""
    trains = line.split()[0] in ("compress", "train")
    return pytest.param(line, message, marks=[pytest.mark.train] * trains)


@pytest.mark.parametrize(("line", "message"), [marked(*case) for case in CASES])
def test_bad_input_costs_nothing(line: str, message: str, folder: Path):
    before = sorted(folder.rglob("*"))
    result = decig(*line.format(f=folder).split())
    assert result.exit_code == 2, result.stderr
    assert message in result.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "line",
    [
        *(PROFILE, f"{REPAIR} {' '.join(PIXELS)}", EXPORT),
        pytest.param(f"{TRAINED} {' '.join(PIXELS)}", marks=pytest.mark.train),
    ],
)
def test_what_is_expensive_is_watched(line: str, folder: Path):
    """Good input gets as far as what the tests above must not reach."""
    result = decig(*line.format(f=folder).split())
    assert "ExpensiveError" in result.stderr, result.stderr


@pytest.mark.parametrize(
    "line",
    [
        f"slice {{f}}/m.onnx -o {{f}}/out --target-latency 1us --profile {{f}}/t.json "
        f"--repair {{f}}/photos {' '.join(PIXELS)}",
        pytest.param(
            f"{TRAINED} {' '.join(PIXELS)}".replace("1.1", "100000"), marks=pytest.mark.train
        ),
    ],
)
def test_a_latency_far_out_of_reach_costs_nothing(line: str, folder: Path):
    result = decig(*line.format(f=folder).split())
    assert result.exit_code == 3, result.stderr
    assert "is out of reach" in result.stderr
    assert not (folder / "new").exists() and not (folder / "out").exists()


ASKED = {
    "m.onnx": ["--input-range LOW", "--output-range", "--channel-order"],
    "style.onnx": ["--input-range LOW", "--channel-order", "--feed style=normal"],
    "dynamic.onnx": ["--input-shape image:1,3,256,256", "--input-range", "--channel-order"],
    "curves.onnx": ["--picture halfway", "--input-range", "--channel-order"],
}
"""What cannot be known of a model, by its file."""


@pytest.mark.train
@pytest.mark.parametrize("name", ASKED)
def test_all_that_cannot_be_known_is_asked_at_once(name: str, folder: Path):
    """And nothing else: with the answers, the next thing is the work itself."""
    write_dynamic_generator(folder / "dynamic.onnx")
    write_curves(folder / "curves.onnx")
    result = decig("compress", folder / name)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    for flag in (*ASKED[name], "--data DIR", "--target-latency"):
        assert line.count(flag) == 1, (flag, line)
    told = decig("compress", folder / name, "--data", folder / "photos", "--target-speedup", 2)
    assert told.exit_code == 2
    for flag in ASKED[name]:
        assert flag in told.stderr
    assert "--data" not in told.stderr and "--target" not in told.stderr


@pytest.mark.train
def test_a_file_that_says_how_it_is_fed_needs_images_and_a_target_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The run folder names itself; MODEL is profiled first, which is expensive."""
    monkeypatch.chdir(tmp_path)
    proto = onnx.load(folder / "m.onnx")
    stamp(proto, {"pixels": pixels_entry(PixelFormat((0, 1), (0, 1)))})
    onnx.save(proto, "m.onnx")
    given = ("--data", folder / "photos", "--target-speedup", 4)
    result = decig("compress", "m.onnx", *given)
    assert "ExpensiveError" in result.stderr, result.stderr
    assert "run folder: m-4x" in result.stderr and not (tmp_path / "m-4x").exists()


@pytest.mark.train
def test_a_run_that_goes_on_must_be_named(folder: Path):
    result = decig("compress", folder / "m.onnx", "--resume", *PIXELS)
    assert result.exit_code == 2 and "--output-dir RUN" in result.stderr
