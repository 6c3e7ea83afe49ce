import numpy as np
import pytest

from decig.device.run.device import Device
from decig.device.run.numbers import (
    NoNumbersError,
    are_numbers,
    first_without_numbers,
    run_to_numbers,
)
from tests.graph.tiny import tiny

LONG = "\n".join(f"a{i + 1} = Sin(a{i})" for i in range(20))
"""More values than are looked at in one run."""


def test_numbers_of_every_kind():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert are_numbers([np.zeros(3), np.array([1, 2]), np.array(["a"]), np.zeros(0)])
    assert are_numbers([np.zeros(2, ml_dtypes.bfloat16)])
    for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        for value in (np.nan, np.inf, -np.inf):
            assert not are_numbers([np.zeros(3), np.array([0, value], dtype)])


def test_the_first_node_is_named_and_a_mask_is_not_blamed():
    proto = tiny(f"m = Log(zero) a0 = Add(x, k)\n{LONG}\n[root] r = Sqrt(a20)\n s = Add(r, m)\n"
                 "t = Softmax(s) y = Neg(t)", k=np.float32(0), zero=np.float32(0))  # fmt: skip
    feeds = {"x": np.linspace(-1, 1, 192, dtype=np.float32).reshape(1, 3, 8, 8)}
    assert first_without_numbers(proto, feeds) == "node root (Sqrt) computes NaN"


def test_infinity_is_told_from_nan():
    proto = tiny("[grows] e = Exp(x)\n y = Neg(e)")
    feeds = {"x": np.full((1, 3, 8, 8), 1000, np.float32)}
    assert first_without_numbers(proto, feeds) == "node grows (Exp) computes infinity"


def test_runs_end_where_any_of_the_inputs_gives_no_numbers():
    proto = tiny("[root] y = Sqrt(x)")
    good, bad = ({"x": np.full((1, 3, 8, 8), value, np.float32)} for value in (4, -4))
    (found,) = run_to_numbers(Device.of(), proto, [good, good], ["y"])
    assert found.shape == (2, 3, 8, 8)
    assert (found == 2).all()
    with pytest.raises(NoNumbersError, match=r"^node root \(Sqrt\) computes NaN"):
        run_to_numbers(Device.of(), proto, [good, bad], ["y"])
