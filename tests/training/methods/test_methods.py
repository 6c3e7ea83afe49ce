import pytest

from decig.errors import BadInputError
from decig.schema import WrittenByHand
from decig.training import methods


def test_methods_are_found_by_their_name() -> None:
    assert "decig" in methods.names()
    for name in methods.names():
        method = methods.find(name)
        assert issubclass(method.Settings, WrittenByHand)
        assert method.Settings() == method.Settings()  # every key has a default
    assert methods.find(methods.DEFAULT) is methods.find("decig.training.methods.decig")


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"no method is called 'dezig'; known: .*decig"):
        methods.find("dezig")
    with pytest.raises(BadInputError, match=r"'json\.tool' is no method"):
        methods.find("json.tool")


def test_those_that_train_from_scratch_are_told_apart() -> None:
    for name in ("decig", "hypernet"):
        assert methods.find_way(name) is methods.find(name)
    with pytest.raises(BadInputError, match=r"train with decig or hypernet, .* --method supernet"):
        methods.find_way("supernet")


def test_a_table_is_called_as_the_last_part_of_the_name() -> None:
    assert methods.table_of("decig") == "decig"
    assert methods.table_of("my_package.mine") == "mine"
