import numpy as np
import onnx
import pytest

from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.graph.channels import analyse
from decig.graph.model import initializers, replace_initializers
from decig.repair.estimates import Estimate, with_estimates
from decig.repair.readers import find_readers
from tests.repair.small import INPUTS, generator


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_consumer_reads_what_is_there_or_its_estimate(dtype: type) -> None:
    inputs = [{"x": feeds["x"].astype(dtype)} for feeds in INPUTS]
    proto = generator("BatchNormalization", dtype=dtype)
    saved = proto.SerializeToString()
    estimates = [Estimate(r) for r in find_readers(proto, analyse(proto), inputs)]
    changed = with_estimates(proto, estimates)
    assert proto.SerializeToString() == saved
    second = estimates[1]
    source = second.reader.read.value
    for graph in (changed.graph, proto.graph):
        del graph.output[:]
    changed.graph.output.append(onnx.ValueInfoProto(name=second.value))
    proto.graph.output.append(onnx.ValueInfoProto(name=source))
    (there,) = run_session(Device.of().open(proto), inputs[0])
    session = Device.of().open(changed)

    def read(gone: list[int]) -> np.ndarray:
        told = {k: v for part in estimates for k, v in part.feeds(np.array(gone, int)).items()}
        return run_session(session, {**inputs[0], **told}, [second.value])[0]

    assert (read([]) == there).all()
    gone = second.reader.labels[[2, 5]]
    matrix, offset = second.reader.estimate(np.isin(second.reader.labels, gone))
    wanted = np.moveaxis(np.moveaxis(there.astype(float), 1, -1) @ matrix + offset, -1, 1)
    found = read(gone.tolist())
    assert found.dtype == dtype
    assert np.abs(found - wanted).max() < (1e-5 if dtype == np.float32 else 0.02)
    assert (found[:, [0, 1]] == there[:, [0, 1]]).all()


def test_weights_are_there_once() -> None:
    proto = generator("InstanceNormalization", residual=True)
    estimates = [Estimate(reader) for reader in find_readers(proto, analyse(proto), INPUTS)]
    assert initializers(with_estimates(proto, estimates)).keys() == initializers(proto).keys()


def test_products_beyond_float16_are_computed() -> None:
    inputs = [{"x": feeds["x"].astype(np.float16)} for feeds in INPUTS]
    proto = generator("BatchNormalization", dtype=np.float16)
    weights = initializers(proto)
    for name in ("a.weight", "n.scale", "n.shift", "n.mean", "n.var"):
        twin = weights[name].copy()
        twin[1] = twin[0]
        replace_initializers(proto, {name: twin})
    part = next(
        Estimate(reader)
        for reader in find_readers(proto, analyse(proto), inputs)
        if len(reader.labels) == 12
    )
    changed = with_estimates(proto, [part])
    del changed.graph.output[:]
    changed.graph.output.append(onnx.ValueInfoProto(name=part.value))
    apart = np.zeros((12, 12), np.float32)
    apart[:2] = [[2.0**20], [-(2.0**20)]]
    told = {
        f"{part.stem}/told": np.array(True),
        f"{part.stem}/B": apart,
        f"{part.stem}/c": np.ones(12, np.float32),
    }
    (found,) = run_session(Device.of().open(changed), {**inputs[0], **told}, [part.value])
    assert (found == 1).all()
