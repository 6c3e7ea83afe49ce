import numpy as np
import pytest
from onnx import TensorProto, helper

from decig.graph.model import initializers, normalise
from decig.training.trainable.recalibrate import recalibrated
from tests.training.onnx_cases import run_ort
from tests.training.tiny import tiny_generator, with_batch_norms


def feeds(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"input": rng.random((1, 3, 32, 32), np.float32)} for _ in range(count)]


@pytest.mark.parametrize("count", [1, 5, 16])
def test_running_statistics_become_those_of_the_inputs(count: int) -> None:
    proto = with_batch_norms(tiny_generator(), 7.0, 9.0)
    images = feeds(count)
    changed = recalibrated(proto, images)
    before, after = initializers(proto), initializers(changed)
    assert {n for n in before if not np.array_equal(before[n], after[n])} == {
        f"n{place}.{name}" for place in (1, 2, 3) for name in ("mean", "var")
    }
    probe = normalise(proto)
    probe.graph.output[0].name = "c1"
    outputs = np.concatenate([run_ort(probe, image["input"])[0] for image in images])
    np.testing.assert_allclose(after["n1.mean"], outputs.mean(axis=(0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(after["n1.var"], outputs.var(axis=(0, 2, 3)), rtol=1e-4)


def test_images_of_other_brightness_spread_the_statistics() -> None:
    """The variance is that of all images together, not the mean of theirs."""
    proto = with_batch_norms(tiny_generator(), 0.0, 1.0)
    images = [{"input": each["input"] * (0.1 + place)} for place, each in enumerate(feeds(16))]
    after = initializers(recalibrated(proto, images))
    probe = normalise(proto)
    probe.graph.output[0].name = "c1"
    outputs = np.concatenate([run_ort(probe, image["input"])[0] for image in images])
    np.testing.assert_allclose(after["n1.var"], outputs.var(axis=(0, 2, 3)), rtol=1e-4)


def test_a_number_beside_the_image_comes_with_it() -> None:
    proto = with_batch_norms(tiny_generator(), 0.0, 1.0)
    proto.graph.input.append(helper.make_tensor_value_info("strength", TensorProto.FLOAT, []))
    proto.graph.node.insert(0, helper.make_node("Mul", ["input", "strength"], ["strong"]))
    next(node for node in proto.graph.node if node.name == "c1").input[0] = "strong"
    images = [
        {**each, "strength": np.array(1 + place, np.float32)} for place, each in enumerate(feeds(3))
    ]
    after = initializers(recalibrated(normalise(proto), images))
    probe = with_batch_norms(tiny_generator(), 0.0, 1.0)
    probe.graph.output[0].name = "c1"
    strong = [each["input"] * each["strength"] for each in images]
    outputs = np.concatenate([run_ort(probe, each)[0] for each in strong])
    np.testing.assert_allclose(after["n1.var"], outputs.var(axis=(0, 2, 3)), rtol=1e-4)


def test_graphs_without_running_statistics_stay_as_they_are() -> None:
    proto = tiny_generator()
    assert recalibrated(proto, feeds(1)) is proto
