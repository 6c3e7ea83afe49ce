import numpy as np
import pytest

from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.runs import UndisturbedRun, run_session
from decig.errors import BadInputError
from tests.device.graphs import style_net


def test_outputs_of_a_run():
    session = Device.of().open(style_net())
    feeds = random_feeds(session)
    (found,) = run_session(session, feeds)
    assert np.array_equal(found, session.run(None, feeds)[0])
    assert np.array_equal(run_session(session, feeds, ["y"])[0], found)


def test_inputs_that_do_not_fit_are_one_line():
    session = Device.of().open(style_net())
    with pytest.raises(BadInputError, match="cannot run the model on x 1x3x8x9: ") as caught:
        run_session(session, {"x": np.zeros((1, 3, 8, 9), np.float32)})
    assert "\n" not in str(caught.value)


def test_time_of_other_programs_does_not_count():
    run = UndisturbedRun(lambda: 80.0, lambda call: (call(), 0.25))
    assert run() == 80.0
    assert run.time_us() == 20.0
