import json
from dataclasses import replace

from decig.device.run.device import Device
from decig.device.run.fingerprint import Fingerprint, cpu_model
from decig.schema import convert


def test_plain_json_with_everything_that_matters():
    here = Device.of(threads=2).fingerprint()
    found = here.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert here.identity().items() <= found.items()
    assert found["threads"] == 2
    assert found["provider"] == "CPUExecutionProvider"
    assert cpu_model() in found["cpu"]
    assert convert(found, Fingerprint, "t.json") == here


def test_options_are_in_one_order():
    device = Device(Device.of("cpu").provider, {"b": "1", "a": "2"})
    assert list(device.fingerprint().provider_options) == ["a", "b"]


def test_difference_in_words():
    here = Device.of().fingerprint()
    assert here.difference(replace(here)) is None
    assert here.difference(replace(here, machine="other", system="other")) is None
    assert here.difference(replace(here, threads=8)) == "threads is 8 there and 1 here"


def test_what_computes():
    here = Device.of().fingerprint()
    assert here.computes == here.cpu
    assert replace(here, accelerator="a GPU").computes == "a GPU"


def test_a_file_from_before_accelerators():
    older = Device.of().fingerprint().to_dict()
    del older["accelerator"]
    assert convert(older, Fingerprint, "t.json").accelerator is None
