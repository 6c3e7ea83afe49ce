"""Quality over latency: what no other result beats, and how two sides compare."""

import pytest
from frontier import KID, PSNR, SSIM, Point, faster_at_equal_pictures, front_of, neighbours
from hypothesis import given
from hypothesis import strategies as st

TEACHER = Point("teacher", 80.0, 0.0)
SLOW, FAST = Point("slow", 40.0, 0.1), Point("fast", 20.0, 0.2)
BEATEN = Point("beaten", 40.0, 0.3)

thousandths = st.integers(0, 1000).map(lambda number: number / 1000)
points = st.builds(Point, st.just("other"), st.floats(1.0, 100.0), thousandths)


def test_the_front_leaves_out_what_another_result_beats() -> None:
    assert front_of([BEATEN, FAST, TEACHER, SLOW]) == [TEACHER, SLOW, FAST]


def test_a_result_stands_next_to_one_or_two_of_the_front() -> None:
    others = [BEATEN, FAST, TEACHER, SLOW]
    assert neighbours(Point("own", 10.0, 0.15), others) == [SLOW, FAST]
    assert neighbours(Point("own", 10.0, 0.5), others) == [FAST]
    assert neighbours(Point("own", 10.0, 0.0), others) == [TEACHER, SLOW]


@given(st.lists(points, max_size=6), points)
def test_no_more_than_the_speed_over_the_teacher_can_come_out(
    others: list[Point], own: Point
) -> None:
    teacher = Point("teacher", 100.0, 0.0)
    gain = faster_at_equal_pictures(own, [teacher, *others])
    fastest = min(each.latency for each in [teacher, *others])
    assert fastest / own.latency * (1 - 1e-9) <= gain <= 100.0 / own.latency * (1 + 1e-9)


@given(st.lists(points, min_size=1, max_size=6))
def test_a_result_of_the_front_is_as_fast_as_itself(others: list[Point]) -> None:
    front = front_of(others)
    for each in front:
        assert faster_at_equal_pictures(each, others) == pytest.approx(1.0)


def test_distances_are_zero_for_the_teachers_pictures_and_grow() -> None:
    near = {"ssim": 0.9, "psnr_db": 30.0, "kid": 0.001}
    far = {"ssim": 0.5, "psnr_db": 20.0, "kid": 0.1}
    for measure in (SSIM, PSNR, KID):
        assert 0 < measure.distance(near) < measure.distance(far)
        assert (measure.value(near) > measure.value(far)) == measure.upwards
    assert PSNR.distance(far) == pytest.approx(0.1)
    assert KID.distance({"kid": -0.001}) == 0
