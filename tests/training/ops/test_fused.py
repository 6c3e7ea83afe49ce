"""Fused operators beside the table of `op_cases`: what is refused."""

from tests.training.onnx_cases import assert_refused
from tests.training.op_case import x

OWN = {"domain": "com.microsoft"}


def test_an_activation_that_is_not_known_is_refused() -> None:
    constants = {1: x(2, 3, 1, 1)}
    message = "activation Sin is not supported"
    assert_refused(
        "FusedConv", x(1, 3, 4, 4), constants=constants, activation="Sin", message=message, **OWN
    )
