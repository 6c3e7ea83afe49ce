import onnx

from decig.deploy.exported import Exported, Size
from decig.deploy.precision import FP32, Precision
from decig.device.measure.rewriting import Choice
from decig.device.run.timing import Latency

PROTO = onnx.ModelProto()
CHOICE = Choice(PROTO, {"fold_batchnorm": 2}, ["wide_head"], ["winograd"])
BEFORE, AFTER = Size(5, 12, 21, 900), Size(3, 10, 20, 800)
PLAIN = Exported(CHOICE, Precision(FP32, FP32, PROTO), 1e-6, None, None, BEFORE, AFTER)


def latency(us: float) -> Latency:
    return Latency(us, 0.0, us, 4)


def test_what_is_not_known_is_left_out():
    assert PLAIN.to_dict() == {
        "rewrites": {
            "canonical": {"fold_batchnorm": 2},
            "kept": ["wide_head"],
            "dropped": ["winograd"],
        },
        "precision": {"asked": "fp32", "used": "fp32", "variants": {}},
        "max_abs_diff": 1e-6,
        "params": 10,
        "macs": 20,
        "macs_before": 21,
        "nodes": {"before": 5, "after": 3},
        "file_bytes": {"before": 900, "after": 800},
    }


def test_all_that_is_known_is_said():
    times = {"plain": latency(2000.0), "exported": latency(1234.56789)}
    whole = Exported(
        CHOICE,
        Precision(FP32, FP32, PROTO),
        1e-6,
        2e-6,
        1.5,
        BEFORE,
        AFTER,
        times,
        ("the images are gone",),
        {"inside": latency(3000.0)},
    )
    more = {key: value for key, value in whole.to_dict().items() if key not in PLAIN.to_dict()}
    assert more == {
        "latency_ms": {"plain": 2.0, "exported": 1.2346},
        "warnings": ["the images are gone"],
        "torch_max_abs_diff": 2e-6,
        "predicted_latency_ms": 1.5,
        "bytes_to_bytes_ms": {"inside": 3.0},
    }
