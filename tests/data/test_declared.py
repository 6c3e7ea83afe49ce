"""What may be declared to feed an input, and what it means."""

import pytest

from decig.data.declared import declare, from_files, numbers, require_inputs, stated_range
from decig.errors import BadInputError


@pytest.mark.parametrize("way", ["gauss", "nan", "inf", "", True, None, [1], "1,", "1,a", "1,nan"])
def test_ways_that_do_not_exist(way: object):
    with pytest.raises(BadInputError, match=r"input code cannot be fed .*; use normal, uniform"):
        declare("code", way)


def test_ways_that_do():
    assert [declare("x", way) for way in ("normal", "files", "0.5", 2, "1,2.5")] == [
        "normal",
        "files",
        0.5,
        2,
        "1,2.5",
    ]


def test_numbers_stand_alone_or_with_commas():
    assert numbers(0.5) == [0.5]
    assert numbers("1,2.5") == [1, 2.5]
    assert numbers("normal") == numbers("files") == numbers("zeros") == []


def test_files_may_state_the_values_of_black_and_white():
    assert [from_files(way) for way in ("files", "files:0,1", "normal", 0.5)] == [True] * 2 + [
        False
    ] * 2
    assert stated_range("files", "mask") is None
    assert stated_range("files:-1,1", "mask") == (-1.0, 1.0)
    for way in ("files:1,0", "files:0", "files:a,b", "files:0,inf"):
        with pytest.raises(BadInputError, match=r"input mask cannot be fed .*: write files:0,1"):
            stated_range(way, "mask")


def test_what_is_declared_must_be_an_input():
    require_inputs(["code"], ["image", "code"])
    with pytest.raises(BadInputError, match=r"cod is declared .* inputs are image, code"):
        require_inputs(["cod"], ["image", "code"])
