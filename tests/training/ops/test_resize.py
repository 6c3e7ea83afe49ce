"""Resizes beside the table of `op_cases`: PyTorch's own interpolation, and what is refused."""

import numpy as np
import pytest
import torch

from decig.training.trainable.module import build_module
from tests.training.onnx_cases import (
    assert_parity,
    assert_refused,
    one_node,
    run_ort,
)
from tests.training.op_case import (
    IMAGE,
    ints,
    x,
)


@pytest.mark.parametrize(
    ("mode", "order"),
    [
        *[(mode, (0, 1, 2, 3)) for mode in ("nearest", "linear", "cubic")],
        *[(mode, (0, 2, 3, 1)) for mode in ("nearest", "linear", "cubic")],
        ("nearest", (2, 0, 3, 1)),
    ],
)
def test_pytorchs_interpolation_serves_any_order_of_axes(mode: str, order: tuple[int, ...]) -> None:
    image, scales = x(2, 3, 4, 6).transpose(order), np.float32([1, 1, 2, 1.5])[list(order)]
    settings = {"mode": mode, "coordinate_transformation_mode": "align_corners"}
    if mode == "nearest":
        settings = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
        settings["nearest_mode"] = "floor"
        scales = np.float32([1, 1, 2, 0.5])[list(order)]
    image = np.ascontiguousarray(image)
    proto = one_node("Resize", image, constants={2: scales}, **settings)
    assert_parity(proto, image)
    code = build_module(proto).code
    assert "interpolate" in code and "resample" not in code and "blend" not in code


def test_channels_last_follow_the_size_of_the_picture() -> None:
    declared, larger = x(1, 4, 6, 3), x(2, 8, 12, 3)
    settings = {"mode": "linear", "opset": 18}
    proto = one_node("Resize", declared, constants={3: ints([1, 6, 9, 3])}, **settings)
    with torch.no_grad():
        found = build_module(proto)(torch.from_numpy(larger))[0]
    wanted = one_node("Resize", larger, constants={3: ints([2, 12, 18, 3])}, **settings)
    np.testing.assert_allclose(found, run_ort(wanted, larger)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop"),
    ],
)
def test_what_is_not_supported_is_refused(settings: dict, message: str) -> None:
    scales = {2: np.float32([1, 1, 0.5, 0.5])}
    assert_refused("Resize", x(*IMAGE), constants=scales, message=message, **settings)


def test_a_kept_aspect_ratio_that_leaves_no_whole_size_is_refused() -> None:
    sizes = {"constants": {3: ints([8, 11])}, "axes": [2, 3], "mode": "linear", "opset": 19}
    message = "keep_aspect_ratio_policy not_larger is supported for whole sizes"
    policy = {"keep_aspect_ratio_policy": "not_larger"}
    assert_refused("Resize", x(*IMAGE), message=message, **sizes, **policy)
