import re

import pytest

from decig.device.plan.compute import MacsTarget
from decig.errors import TargetMissedError
from decig.graph.channels import analyse
from decig.graph.model import load_model
from tests.samples import write_generator


def test_what_is_out_of_reach_is_said_in_plain_figures(tmp_path):
    """Also of millions and of thousands of them, with their share of the whole."""
    for size, width in ((24, 16), (128, 64)):
        model = load_model(write_generator(tmp_path / f"{size}.onnx", size=size, width=width))
        target = MacsTarget(model, analyse(model.proto))
        whole = target.as_it_is_ms
        for share in (1e-3, 1e-5):
            with pytest.raises(TargetMissedError) as error:
                target.require_reachable(share * whole)
            text = str(error.value)
            assert re.search(r"\de[+-]", text) is None, text
            assert f"MMACs ({100 * share:.3g} % of the model's) is out of reach" in text
            assert "at its narrowest the model has " in text
        target.require_reachable(whole)
        with pytest.raises(TargetMissedError, match="MMACs"):
            target.plan({}, 1e-3 * whole, lambda _, proto=model.proto: proto, tell=print)
