"""The options that name targets."""

import pytest

from decig.cli.main import main
from decig.cli.targets import OPTIONS
from tests.samples import decig, write_generator


def test_compress_takes_each_kind_of_target():
    assert set(OPTIONS) <= {param.name for param in main.commands["compress"].params}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--target-speedup", "2,4,2"), "2x is named twice"),
        (("--target-speedup", "2", "--target-macs", "0.5"), "exclude each other"),
        (("--target-macs", "0.5,2G"), "give shares"),
    ],
)
def test_targets_that_do_not_go_together_are_usage_errors(tmp_path, asked, message):
    model = write_generator(tmp_path / "m.onnx")
    given = ("--data", tmp_path, "--output-dir", tmp_path / "run", "--channel-order", "rgb")
    pixels = ("--input-range", "0,1", "--output-range", "0,1")
    result = decig("compress", model, *given, *pixels, *asked)
    assert result.exit_code == 2
    assert message in result.stderr
