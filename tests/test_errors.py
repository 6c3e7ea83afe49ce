"""Errors own the exit code of the process."""

import pytest

from decig.errors import BadInputError, DecigError, TargetMissedError


@pytest.mark.parametrize(
    ("error", "code"), [(DecigError, 1), (BadInputError, 2), (TargetMissedError, 3)]
)
def test_exit_codes(error: type[DecigError], code: int):
    assert error.exit_code == code
    assert error("why").exit_code == code
    assert str(error("why")) == "why"


def test_all_are_caught_as_one():
    assert issubclass(BadInputError, DecigError)
    assert issubclass(TargetMissedError, DecigError)
