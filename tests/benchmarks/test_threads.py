import pytest
import threads
from click.testing import CliRunner


def test_decig_and_the_libraries_differ_in_more_than_the_number_of_threads() -> None:
    found = threads.settings(4)
    assert found["1 thread"]["OMP_NUM_THREADS"] == "1"
    assert found["decig's commands"]["OMP_NUM_THREADS"] == "4"
    assert found["decig's commands"]["OPENBLAS_NUM_THREADS"] == "1"
    assert "OMP_WAIT_POLICY" not in found["4 threads as the libraries set them up"]


def test_the_environment_reaches_the_process() -> None:
    work = "import os\nmedian_ms = lambda *_: os.environ['OMP_NUM_THREADS']\nwork = None"
    assert threads.measure_ms(work, {"OMP_NUM_THREADS": "7"}, 0.0) == 7


def test_the_command_writes_its_table(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "WORK", {"a sum": "work = lambda: sum(range(10))"})
    result = CliRunner().invoke(threads.main, ["--seconds", "0", "--results", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "threads.md").read_text()
    assert "| setting | a sum, alone | a sum, beside a busy program |" in text
    assert text.count("\n| ") == 5
