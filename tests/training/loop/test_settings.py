import pytest

from decig.errors import BadInputError
from decig.schema import convert
from decig.training.loop.settings import Settings


def test_what_is_not_said_has_its_default() -> None:
    assert convert({"seed": 3}, Settings, "settings") == Settings(seed=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0},
        {"warmup": 1.5},
        {"precision": "fp8"},
        {"ema": 1},
        {"accumulate": 0},
        {"patience": -0.1},
        {"seed": -1},
        {"rate": 1e-3},
    ],
)
def test_what_cannot_be_is_refused_by_its_name(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match=f"^settings: .*{next(iter(wrong))}"):
        convert(wrong, Settings, "settings")
