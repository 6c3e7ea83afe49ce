import json

from decig.device.run.fingerprint import SAME_DEVICE_KEYS, cpu_model, difference, fingerprint
from decig.device.run.session import DeviceOptions


def test_plain_json_with_everything_that_matters():
    found = fingerprint(DeviceOptions(threads=2, provider_options={"b": "1", "a": "2"}))
    assert json.loads(json.dumps(found)) == found
    assert set(SAME_DEVICE_KEYS) <= found.keys()
    assert found["threads"] == 2
    assert found["provider"] == "CPUExecutionProvider"
    assert list(found["provider_options"]) == ["a", "b"]
    assert cpu_model() in found["cpu"]


def test_difference_in_words():
    here = fingerprint(DeviceOptions())
    assert difference(here, dict(here)) is None
    assert difference(here, here | {"machine": "other"}) is None
    assert difference(here, here | {"threads": 8}) == "threads is 8 there and 1 here"
