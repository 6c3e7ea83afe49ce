import time
from types import SimpleNamespace

import pytest

from decig.training.loop.engine import News
from decig.training.originals.shown import Shown, Training, duration


@pytest.mark.parametrize("before", [0, 100])
def test_progress_is_logged_with_the_time_left(tmp_path, monkeypatch, caplog, before):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    training = Training(None, SimpleNamespace(steps=before + 10), tmp_path, 1e9)
    engine = SimpleNamespace(step=4)
    told = Shown(engine, training, list, before, _logged=0.0, _sampled=0.0)
    with caplog.at_level("INFO", "decig"):
        for step in (5, 6, 7, 8):  # 20 seconds each; a line at least every 30
            told.report(News(step, 0.0, 0.0, {"generator/l1": 2.0}))
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"step {before + 5} of {before + 10}: generator/l1 2.000, 0.000 s per step, 0 s left",
        f"step {before + 7} of {before + 10}: generator/l1 2.000, 20.000 s per step, 1 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min"), (65, "1 min 5 s"), (3600, "1 h"), (100000, "1 d 3 h")],
)
def test_durations_are_written_in_their_largest_units(seconds, text):
    assert duration(seconds) == text
