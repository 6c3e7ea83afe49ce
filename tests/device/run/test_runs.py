import numpy as np
import pytest

from decig.device.run.feeds import random_feeds
from decig.device.run.runs import QuietRun, observe, prepare_run
from decig.device.run.session import DeviceOptions, open_session
from tests.device.graphs import style_net


def test_a_run_for_timing():
    session = open_session(style_net(), DeviceOptions())
    feeds = random_feeds(session)
    (found,) = prepare_run(session, feeds, DeviceOptions())()
    assert np.array_equal(found, session.run(None, feeds)[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_observed_runs(threads):
    us, share = observe(lambda: sum(range(10000)), DeviceOptions(threads=threads))
    assert us > 0
    assert 0 < share <= 1


def test_time_of_other_programs_does_not_count(monkeypatch):
    monkeypatch.setattr("decig.device.run.runs.observe", lambda run, options: (run(), 0.25))
    assert QuietRun(lambda: 80.0, DeviceOptions()).time_us() == 20.0
    assert QuietRun(lambda: 80.0, DeviceOptions(threads=2)).time_us() == 80.0
    assert QuietRun(lambda: 80.0, DeviceOptions())() == 80.0


def test_a_gpu_is_not_observed_by_the_processor(monkeypatch):
    class Run:
        def __call__(self):
            raise AssertionError("timed from outside")

        def time_us(self):
            return 5.0

    assert observe(Run(), DeviceOptions("cuda")) == (5.0, 1.0)
    assert observe(Run(), DeviceOptions("openvino", {"device_type": "NPU"})) == (5.0, 1.0)
