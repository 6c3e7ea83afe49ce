import pytest

from decig.device.run.providers import PROVIDERS
from decig.graph import operators
from decig.graph.registration import enter, table_of
from decig.graph.rewrite import engine
from decig.graph.rules import registry


def test_a_second_entry_does_not_take_the_place_of_the_first():
    table = {"a": test_tables_are_made_of_pairs}
    enter(table, "b", len)
    with pytest.raises(ValueError, match=r"^a is registered twice: as .*\.test_tables_are_made_of"):
        enter(table, "a", len)
    assert table == {"a": test_tables_are_made_of_pairs, "b": len}


def test_tables_are_made_of_pairs():
    assert table_of([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="a is registered twice: as 1 and as 3"):
        table_of([("a", 1), ("b", 2), ("a", 3)])


def test_an_operator_has_one_channel_rule():
    with pytest.raises(ValueError, match=r"Conv is registered twice: as decig\.graph\.rules\."):

        @registry.rule("Conv")
        def another(flow, node):
            return None


def test_an_operator_has_one_entry_in_the_table(monkeypatch):
    twice = (*operators._ENTRIES, operators.Operator("Conv", operators.Kind.UNKNOWN))
    monkeypatch.setattr(operators, "_ENTRIES", twice)
    with pytest.raises(ValueError, match="Conv is registered twice"):
        operators._table.__wrapped__()


def test_a_rewrite_has_one_place_in_the_order():
    assert len(set(engine._ORDER)) == len(engine._ORDER) == len(engine.RULES)


def test_a_provider_has_one_entry():
    for names in ([each.short for each in PROVIDERS], [each.full for each in PROVIDERS]):
        assert len(set(names)) == len(names)
