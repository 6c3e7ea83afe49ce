import pytest
from torch import fx

from decig.training.ops.sizes import Size, declared, regroup

IMAGE = fx.Graph().placeholder("image")
N, H, W = Size(IMAGE, 0, 1), Size(IMAGE, 2, 64), Size(IMAGE, 3, 64)
HALF = Size(IMAGE, 2, 32, 2), Size(IMAGE, 3, 32, 2)


@pytest.mark.parametrize(
    ("dims", "target", "expected"),
    [
        # 64 channels, 64 rows, 64 columns: the order tells them apart.
        ([(N,), (64,), (H,), (W,)], [1, 64, 4096], [(N,), (64,), (H, W)]),
        ([(N,), (64,), (H, W)], [1, 64, 64, 64], [(N,), (64,), (H,), (W,)]),
        ([(N,), (9,), (H,), (W,)], [1, 1, 3, 3, 64, 64], [(N,), (), (3,), (3,), (H,), (W,)]),
        ([(N, 64, H), (W, 2)], [64 * 64, 128], [(N, 64, H), (W, 2)]),
        ([(N,), (8,), (H,), (W,)], [8, 64, 1, 64], [(N, 8), (H,), (), (W,)]),
        ([(8,), (N,), (H, W)], [8, 1, 4096], [(8,), (N,), (H, W)]),
        (
            [(N,), (8,), (H,), (W,)],
            [1, 8, 32, 2, 32, 2],
            [(N,), (8,), HALF[:1], (2,), HALF[1:], (2,)],
        ),
        ([(N,), (3,), (H,), (W,)], [1, 96, 128], [(N,), (3, HALF[0]), (2, W)]),
        ([(N,), (6,), (9,)], [1, 27, 2], [(N,), (27,), (2,)]),
    ],
)
def test_constants_are_told_apart(dims, target, expected):
    groups = regroup(dims, target)
    assert groups == expected
    assert [declared(group) for group in groups] == target


@pytest.mark.parametrize(
    ("dims", "target"),
    [
        ([(N,), (8,), (H,), (W,)], [1, 8, 2, 32, 64]),  # is it the 2 or the 32 that follows?
        ([(N,), (3,), (H,), (W,)], [1, 64, 192]),  # a third of what does not divide
    ],
)
def test_what_cannot_be_told_apart_is_refused(dims, target):
    assert regroup(dims, target) is None
