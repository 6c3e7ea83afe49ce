"""Errors own the exit code of the process."""

import pytest

from decig.errors import (
    BadInputError,
    DecigError,
    TargetMissedError,
    first_line,
    ort_reason,
    with_text,
)


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


class OfSomeError(BadInputError):
    """As some rooms have them."""

    def __init__(self, text: str, more: int):
        super().__init__(f"{text} {more}")


def test_an_error_with_another_text_is_of_the_same_kind():
    for error in (DecigError("a"), TargetMissedError("a"), OfSomeError("a", 1)):
        found = with_text(error, "b")
        assert (str(found), found.exit_code) == ("b", error.exit_code)


def test_errors_of_others_in_one_line():
    assert first_line(ValueError("\n  broken \nat line 3")) == "broken"
    assert first_line(EOFError()) == "EOFError"


def test_what_onnx_runtime_says_without_its_sources():
    said = (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : /onnxruntime_src/core/session.cc:123 "
        "onnxruntime::Status onnxruntime::Run(int) No cuDNN\n  here"
    )
    assert ort_reason(RuntimeError(said)) == "No cuDNN here"
