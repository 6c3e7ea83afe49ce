import numpy as np
from onnx import numpy_helper

from decig.graph.model import initializers, normalise
from decig.training.trainable.recalibrate import recalibrated
from tests.training.onnx_cases import run_ort
from tests.training.tiny import tiny_generator


def feeds(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"input": rng.random((1, 3, 32, 32), np.float32)} for _ in range(count)]


def test_running_statistics_become_those_of_the_inputs() -> None:
    proto = tiny_generator()
    for node in proto.graph.node:
        if node.op_type == "InstanceNormalization":
            node.op_type = "BatchNormalization"
            node.input.extend([f"{node.name}.mean", f"{node.name}.var"])
            for name, value in (("mean", 7.0), ("var", 9.0)):
                array = np.full(8, value, np.float32)
                tensor = numpy_helper.from_array(array, f"{node.name}.{name}")
                proto.graph.initializer.append(tensor)
    proto = normalise(proto)
    images = feeds(4)
    changed = recalibrated(proto, images)
    before, after = initializers(proto), initializers(changed)
    assert {n for n in before if not np.array_equal(before[n], after[n])} == {
        f"n{place}.{name}" for place in (1, 2, 3) for name in ("mean", "var")
    }
    probe = normalise(proto)
    probe.graph.output[0].name = "c1"
    outputs = np.concatenate([run_ort(probe, image["input"])[0] for image in images])
    expected = outputs.mean(axis=(0, 2, 3))
    old = 0.9**24  # share of the old statistics that is left
    np.testing.assert_allclose(after["n1.mean"], expected * (1 - old) + 7 * old, atol=0.02)


def test_graphs_without_running_statistics_stay_as_they_are() -> None:
    proto = tiny_generator()
    assert recalibrated(proto, feeds(1)) is proto
