"""The benchmark of the gate in miniature: its table, not its figures."""

import pytest
from click.testing import CliRunner
from gate import busy, main

from tests.samples import write_generator


def test_the_table_counts_every_answer(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    asked = [str(model), "--times", "2", "--seconds", "0.05", "--results", str(tmp_path)]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "gate.md").read_text().splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| 0") or "| 1" in line[:4]]
    assert len(rows) == 4
    for row in rows:
        assert sum(int(cell) for cell in row[2:5]) == 2
        assert int(row[5]) <= 2


def test_busy_programs_end_with_the_block():
    with busy(2):
        pass
    with pytest.raises(RuntimeError), busy(1):
        raise RuntimeError


def test_without_the_suite_a_model_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("gate.SUITE", tmp_path)
    result = CliRunner().invoke(main, ["--results", str(tmp_path)])
    assert "name a MODEL" in str(result.exception)
