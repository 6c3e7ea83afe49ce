import numpy as np
import pytest

torch = pytest.importorskip("torch")

from decig.data.pixels import PixelFormat  # noqa: E402
from decig.errors import BadInputError  # noqa: E402
from decig.train.pool import Crops, TeacherPool  # noqa: E402

PIXELS = PixelFormat((0.0, 255.0), (0.0, 255.0))


class Inverter(torch.nn.Module):
    """A teacher that paints the negative and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, source: "torch.Tensor") -> "torch.Tensor":
        self.calls += 1
        return 255 - source


def pool(*, targets: bool = False, capacity: int = 4) -> tuple[TeacherPool, Inverter]:
    rng = np.random.default_rng(0)
    images = [
        tuple(rng.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(1 + targets))
        for _ in range(5)
    ]
    teacher = Inverter()
    crops = Crops(16, 24, 3, 1.5, False)
    made = TeacherPool(
        images,
        teacher,
        PIXELS,
        3,
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


@pytest.mark.parametrize("start", [5, 9, 20])
def test_a_resumed_run_sees_the_same_batches(start: int) -> None:
    whole = pool()[0]
    expected = [whole.batch(step) for step in range(start + 5)][start:]
    resumed = pool()[0]
    for step, batch in enumerate(expected, start):
        again = resumed.batch(step)
        assert torch.equal(again.source, batch.source)
        assert torch.equal(again.teacher, batch.teacher)


def test_real_targets_are_cut_with_their_inputs() -> None:
    batch = pool(targets=True)[0].batch(0)
    assert batch.target is not None
    assert batch.target.shape == batch.source.shape
    assert batch.target.min() >= 0 and batch.target.max() <= 1


def test_images_smaller_than_a_crop_are_named() -> None:
    small = [(np.zeros((20, 20, 3), np.uint8),)]
    with pytest.raises(BadInputError, match="20 px"):
        TeacherPool(
            small,
            Inverter(),
            PIXELS,
            3,
            Crops(32, 32, 1, 1.0, False),
            refresh=1,
            capacity=1,
            seed=0,
            device=torch.device("cpu"),
        )
