"""Devices: how they are made, opened, run and timed."""

import logging

import numpy as np
import pytest

from decig.device.run import cuda
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.providers import find
from decig.errors import BadInputError
from tests.device.graphs import style_net


class OnItsOwnClock:
    """A run that may only be timed by itself."""

    def __call__(self):
        raise AssertionError("timed from outside")

    def time_us(self):
        return 5.0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "rocket"}, "execution provider 'rocket' is not known"),
        ({"name": "coreml"}, "'coreml' is not in the installed ONNX Runtime"),
        ({"threads": 0}, "0 threads: give at least 1"),
        ({"options": {"fast": "1"}}, "option 'fast': the execution provider 'cpu' has no options"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(asked, message):
    with pytest.raises(BadInputError, match=message):
        Device.of(**asked)


def test_devices_are_compared_by_what_they_are():
    assert Device.of("CPUExecutionProvider") == Device.of()
    assert hash(Device.of("CPU")) == hash(Device.of())
    assert Device.of(threads=2) != Device.of()
    one, other = (Device(find("cuda"), {"device_id": number}) for number in "01")
    assert one != other


def test_more_threads_than_cores_are_warned_of(monkeypatch, caplog):
    monkeypatch.setattr("decig.device.run.device.available_cores", lambda: 2)
    with caplog.at_level(logging.WARNING):
        Device.of(threads=2)
        assert not caplog.text
        Device.of(threads=3)
    assert "3 threads on 2 cores that this process may use" in caplog.text


def test_what_nobody_times_takes_the_threads_that_are_free(monkeypatch):
    monkeypatch.setattr("decig.device.run.device.available_cores", lambda: 8)
    monkeypatch.setattr("decig.device.run.device.worker_threads", lambda: 6)
    assert Device.for_work() == Device.of(threads=6)
    assert Device.of(threads=2).untimed == Device.for_work()
    graph = Device(find("cuda"), {"device_id": "1", "enable_cuda_graph": "1"}, 2)
    assert graph.untimed == Device(find("cuda"), {"device_id": "1"}, 2)


def test_a_fingerprint_describes_a_device_that_may_be_elsewhere():
    device = Device(find("cuda"), {"device_id": "1"}, 3)
    again = Device.described_by(device.fingerprint())
    assert again.options == device.options
    assert (again.provider, again.threads, again.gpu) == (device.provider, 3, 1)


def test_a_captured_graph_is_for_bound_runs_only():
    device = Device(find("cuda"), {"enable_cuda_graph": "1", "use_tf32": "0"}, 2)
    assert device.options["enable_cuda_graph"] == "1"
    assert device.unbound == Device(find("cuda"), {"use_tf32": "0"}, 2)
    assert device.unbound.unbound == device.unbound
    device.unbound.require_unbound()
    with pytest.raises(BadInputError, match=r"option 'enable_cuda_graph' .*'cuda'.*leave it out"):
        device.require_unbound()


def test_a_gpu_has_a_clock_and_a_stream_of_its_own(monkeypatch):
    clock = type("Clock", (), {"stream": 77})()
    monkeypatch.setattr(cuda, "runtime", lambda gpu: clock if gpu == 1 else None)
    device = Device(find("cuda"), {"device_id": "1"})
    assert device.clock is clock
    assert Device.of().clock is None
    given = {}

    def opened(*_, providers, **__):
        given.update(providers[0][1])
        raise RuntimeError("enough")

    monkeypatch.setattr("onnxruntime.InferenceSession", opened)
    with pytest.raises(BadInputError, match="enough"):
        device.open(style_net())
    assert given["user_compute_stream"] == "77"
    assert given["device_id"] == "1"


def test_a_run_for_timing():
    device = Device.of()
    session = device.open(style_net())
    feeds = random_feeds(session)
    (found,) = device.prepare(session, feeds)()
    assert np.array_equal(found, session.run(None, feeds)[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_observed_runs(threads):
    us, share = Device.of(threads=threads).observe(lambda: sum(range(10000)))
    assert us > 0
    assert 0 < share <= 1


def test_what_is_not_on_the_processor_is_not_observed_by_it():
    assert Device(find("cuda")).observe(OnItsOwnClock()) == (5.0, 1.0)
    elsewhere = Device(find("openvino"), {"device_type": "NPU"})
    assert elsewhere.observe(OnItsOwnClock()) == (5.0, 1.0)
    assert not elsewhere.on_processor
    assert Device(find("openvino")).on_processor
    assert Device(find("xnnpack")).on_processor


def test_time_of_other_programs_is_told_apart_on_one_thread(monkeypatch):
    monkeypatch.setattr(Device, "observe", lambda self, run: (run.time_us(), 0.25))
    assert Device.of().undisturbed(OnItsOwnClock()).time_us() == 1.25
    assert Device.of(threads=2).undisturbed(OnItsOwnClock()).time_us() == 5.0


def test_outputs_of_several_runs_are_joined():
    rng = np.random.default_rng(0)
    inputs = [{"x": rng.random((1, 3, 24, 24), np.float32)} for _ in range(3)]
    (found,) = Device.of().run_over(style_net(), inputs)
    session = Device.of().open(style_net())
    expected = np.concatenate([session.run(None, feeds)[0] for feeds in inputs])
    assert found.shape == (3, 3, 24, 24)
    assert np.array_equal(found, expected)
