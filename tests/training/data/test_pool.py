from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from decig.data.feeds import Inputs
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.graph.model import ValueInfo
from decig.training.data.pool import Crops, Example, TeacherPool, as_pictures

PIXELS = PixelFormat((0.0, 255.0), (0.0, 255.0))
INPUTS = Inputs(ValueInfo("x", [1, 3, 40, 50], np.dtype(np.float32)), order=("x",))


class Inverter(torch.nn.Module):
    """A teacher that paints the negative and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, source: "torch.Tensor") -> "torch.Tensor":
        self.calls += 1
        return 255 - source


def pool(
    *, examples: Sequence[Example] | None = None, capacity: int = 4
) -> tuple[TeacherPool, Inverter]:
    rng = np.random.default_rng(0)
    examples = examples or [
        Example(str(index), (rng.integers(0, 256, (40, 50, 3), np.uint8),)) for index in range(5)
    ]
    teacher = Inverter()
    crops = Crops(16, 24, 3, 1.5)
    made = TeacherPool(
        examples,
        teacher,
        PIXELS,
        INPUTS,
        crops,
        refresh=3,
        capacity=capacity,
        seed=7,
        device=torch.device("cpu"),
    )
    return made, teacher


def test_batches_pair_inputs_with_the_teachers_pictures() -> None:
    source = pool()[0]
    for step in range(7):
        batch = source.batch(step)
        assert batch.source.shape == (3, 3, 16, 24)
        assert batch.target is None
        assert (batch.teacher - (1 - batch.source / 255)).abs().max() < 1e-3


def test_the_teacher_works_at_every_third_step_only() -> None:
    source, teacher = pool()
    for step in range(12):
        source.batch(step)
    assert teacher.calls == 4


def test_what_a_step_needs_may_be_painted_beforehand() -> None:
    whole, (prepared, teacher) = pool()[0], pool()
    expected = [whole.batch(step) for step in range(12)][-1]
    prepared.prepare(11)
    calls = teacher.calls
    assert torch.equal(prepared.batch(11).teacher, expected.teacher)
    assert calls == teacher.calls == 4


@pytest.mark.parametrize("start", [5, 9, 20])
def test_a_resumed_run_sees_the_same_batches(start: int) -> None:
    whole = pool()[0]
    expected = [whole.batch(step) for step in range(start + 5)][start:]
    resumed = pool()[0]
    for step, batch in enumerate(expected, start):
        again = resumed.batch(step)
        assert torch.equal(again.source, batch.source)
        assert torch.equal(again.teacher, batch.teacher)


@pytest.mark.parametrize("times", [1, 2])
def test_real_targets_are_cut_with_their_inputs(times: int) -> None:
    """They show the negative here, as large or larger; in new batches and in mixed ones."""
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)) for _ in range(5)]
    images = [each.resize((50, 40), Image.Resampling.BILINEAR) for each in coarse]
    negatives = [
        Image.fromarray(255 - np.asarray(each)).resize((50 * times, 40 * times)) for each in images
    ]
    pairs = zip(images, negatives, strict=True)
    examples = [Example(str(k), tuple(map(np.asarray, pair))) for k, pair in enumerate(pairs)]
    made = pool(examples=examples)[0]
    for step in range(7):
        batch = made.batch(step)
        assert batch.target is not None
        assert batch.target.shape == (3, 3, 16 * times, 24 * times)
        seen = torch.nn.functional.avg_pool2d(batch.target, times)
        # Pictures change by more than this from one pixel to the next.
        torch.testing.assert_close(seen, 1 - batch.source / 255, rtol=0, atol=0.02)


def test_images_smaller_than_a_crop_are_named() -> None:
    small = [Example("a", (np.zeros((20, 20, 3), np.uint8),))]
    with pytest.raises(BadInputError, match="20 px"):
        TeacherPool(
            small,
            Inverter(),
            PIXELS,
            INPUTS,
            Crops(32, 32, 1, 1.0),
            refresh=1,
            capacity=1,
            seed=0,
            device=torch.device("cpu"),
        )


class Mixer(torch.nn.Module):
    """A teacher that paints the image, a noise map and a code on top of each other."""

    def forward(self, *inputs: "torch.Tensor") -> "torch.Tensor":
        noise, image, code, gain = inputs
        return gain * (image + noise + code[:, :, None, None])


def test_other_inputs_stay_with_their_crops() -> None:
    def info(name: str, *shape: int) -> ValueInfo:
        return ValueInfo(name, list(shape), np.dtype(np.float32))

    inputs = Inputs(
        info("image", 1, 3, 40, 50),
        (info("noise", 1, 1, 40, 50), info("code", 1, 3), info("gain")),
        {"noise": "uniform", "code": "normal", "gain": 0.5},
        order=("noise", "image", "code", "gain"),
    )
    rng = np.random.default_rng(0)
    examples = [Example(str(i), (rng.integers(0, 256, (40, 50, 3), np.uint8),)) for i in range(3)]
    crops = Crops(16, 24, 3, 1.5)
    settings = {"refresh": 2, "capacity": 3, "seed": 1, "device": torch.device("cpu")}
    made = TeacherPool(examples, Mixer(), PIXELS, inputs, crops, **settings)
    for step in range(6):
        batch = made.batch(step)
        noise, image, code, gain = batch.inputs
        assert image is batch.source
        shapes = [(3, 1, 16, 24), (3, 3, 16, 24), (3, 3), ()]
        assert [tuple(each.shape) for each in batch.inputs] == shapes
        assert len(set(code[:, 0].tolist())) > 1
        assert (batch.teacher - Mixer()(noise, image, code, gain) / 255).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("order", "channels", "wanted"),
    [
        ("rgb", 3, [1.0, 0.6, 0.2]),
        ("bgr", 3, [0.2, 0.6, 1.0]),
        ("rgb", 1, [0.299 + 0.587 * 0.6 + 0.114 * 0.2]),
        ("rgba", 4, [1.0, 0.6, 0.2, 1.0]),
    ],
)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_real_pictures_take_the_form_of_the_models(
    order: str, channels: int, wanted: list[float], layout: str
) -> None:
    pixels = PixelFormat((-1.0, 1.0), (-1.0, 1.0), layout, order)
    real = np.tile(np.array([255, 153, 51], np.uint8), (2, 5, 4, 1))
    found = as_pictures(real, pixels, channels)
    assert found.shape == (2, channels, 5, 4)
    assert found[1, :, 2, 3].tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("gain", "mixed"), [("uniform", False), (0.5, True)])
def test_crops_are_mixed_only_where_vectors_beside_them_are_equal(
    gain: str | float, mixed: bool
) -> None:
    """A batch has one vector: the teacher painted all of its crops with it."""
    inputs = Inputs(
        ValueInfo("image", [1, 3, 40, 50], np.dtype(np.float32)),
        (ValueInfo("gain", [3], np.dtype(np.float32)),),
        {"gain": gain},
        order=("image", "gain"),
    )

    class Tinter(torch.nn.Module):
        def forward(self, image: "torch.Tensor", gain: "torch.Tensor") -> "torch.Tensor":
            return image * gain[:, None, None]

    rng = np.random.default_rng(0)
    examples = [Example(str(i), (rng.integers(0, 256, (40, 50, 3), np.uint8),)) for i in range(3)]
    settings = {"refresh": 3, "capacity": 8, "seed": 1, "device": torch.device("cpu")}
    made = TeacherPool(examples, Tinter(), PIXELS, inputs, Crops(16, 16, 3, 1.0), **settings)
    new, whole = [], []
    for step in range(24):
        batch = made.batch(step)
        image, strength = batch.inputs
        assert (batch.teacher - Tinter()(image, strength) / 255).abs().max() < 1e-3
        if step % 3 == 0:
            new.append(image)
        else:
            whole.append(any(torch.equal(image, each) for each in new))
    assert not (mixed and all(whole))


def test_a_model_without_an_image_is_fed_codes() -> None:
    code = ValueInfo("code", [1, 3], np.dtype(np.float32))
    inputs = Inputs(None, (code,), {"code": "normal"}, order=("code",))

    class Painter(torch.nn.Module):
        def forward(self, code: "torch.Tensor") -> "torch.Tensor":
            return code[:, :, None, None].expand(-1, 3, 4, 4) * 255

    settings = {"refresh": 1, "capacity": 1, "seed": 1, "device": torch.device("cpu")}
    crops = Crops(4, 4, 2, 1.0)
    made = TeacherPool([Example("0")], Painter(), PIXELS, inputs, crops, **settings)
    first, second = made.batch(0), made.batch(1)
    assert first.source is None
    assert not torch.equal(first.inputs[0], second.inputs[0])
    assert (first.teacher - first.inputs[0][:, :, None, None]).abs().max() < 1e-2
