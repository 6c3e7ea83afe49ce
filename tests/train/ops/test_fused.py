"""Fused operators beside the table of `op_cases`: what is refused."""

import pytest

from tests.train.onnx_cases import assert_refused
from tests.train.op_case import x

OWN = {"domain": "com.microsoft"}


def test_an_activation_that_is_not_known_is_refused() -> None:
    constants = {1: x(2, 3, 1, 1)}
    message = "activation Sin is not supported"
    assert_refused(
        "FusedConv", x(1, 3, 4, 4), constants=constants, activation="Sin", message=message, **OWN
    )


@pytest.mark.parametrize("name", ["transBatchA", "transBatchB"])
def test_transposed_batches_are_refused(name: str) -> None:
    message = "transposed batches"
    assert_refused("FusedMatMul", x(2, 3, 4), x(2, 4, 5), message=message, **{name: 1}, **OWN)
