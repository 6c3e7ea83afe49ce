import pytest

from decig.api.targets import wanted_of
from decig.errors import BadInputError


def test_one_number_or_several_are_ordered_by_speed():
    assert wanted_of(None, None, None) == []
    assert [target.name for target in wanted_of(None, [4, 2], None)] == ["2x", "4x"]
    assert [target.name for target in wanted_of(7, None, None)] == ["7ms"]
    with pytest.raises(BadInputError, match="targets are of one kind, not latency and macs"):
        wanted_of(7, None, 0.5)
