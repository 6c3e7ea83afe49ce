import pytest

from decig.training.compression.frontier import of

REPORT = {
    "method": "decig",
    "target_latency_ms": 4.0,
    "original_latency_ms": 16.0,
    "predicted_latency_ms": 3.9,
    "measured_latency_ms": 4.0,
    "ssim": 0.95,
    "psnr_db": 30.0,
    "macs": {"before": 1000, "after": 200},
    "params": {"before": 100, "after": 20},
    "file_bytes": 80,
    "steps": 10,
    "training_seconds": 2.0,
}
FAST = REPORT | {"measured_latency_ms": 2.0, "ssim": 0.9, "warnings": ["busy"]}


def test_figures_stand_beside_those_of_the_original() -> None:
    found = of({"4x": REPORT, "8x": FAST})
    assert found["original"] == {"latency_ms": 16.0, "macs": 1000, "params": 100}
    assert [each["speedup"] for each in found["targets"]] == [4.0, 8.0]
    assert found["targets"][0]["macs"] == 200 and found["targets"][0]["file_bytes"] == 80
    assert found["monotone"] and found["notes"] == []
    assert found["warnings"] == ["busy"]


def test_what_was_not_measured_is_told_by_prediction() -> None:
    (each,) = of({"4x": REPORT | {"measured_latency_ms": None}})["targets"]
    assert each["speedup"] == pytest.approx(16 / 3.9) and each["measured_latency_ms"] is None


def test_without_a_device_there_is_no_speed_up() -> None:
    bare = dict.fromkeys(("original", "target", "predicted", "measured"))
    report = REPORT | {f"{name}_latency_ms": None for name in bare} | {"target_macs": 210}
    (each,) = of({"210macs": report})["targets"]
    assert each["speedup"] is None and each["target_macs"] == 210
    assert of({"a": report, "b": report})["monotone"]


def test_a_frontier_that_is_not_monotone_says_where() -> None:
    better = of({"4x": REPORT, "8x": FAST | {"ssim": 0.97}})
    assert not better["monotone"]
    assert better["notes"][0].startswith("8x is faster than 4x and its pictures are more like")
    slower = of({"4x": REPORT, "8x": FAST | {"measured_latency_ms": 4.5}})
    assert slower["notes"] == ["8x came out no faster than 4x (4.5 ms, 4 ms)"]
