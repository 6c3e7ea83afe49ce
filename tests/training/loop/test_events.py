import struct
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.errors import BadInputError
from decig.training.loop.engine import Engine, News
from decig.training.loop.events import EVERY, logged, require_events
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.tasks import Original
from decig.training.tasks.paired import open_task
from tests.training.small_originals import write_data, write_recipe

STEPS = 2 * EVERY + 3
STAGES = f"stages = [{{ crop = 32, batch = 1, steps = {STEPS} }}]"


def read_events(folder: Path) -> dict[str, dict[int, object]]:
    """What the event files of a folder hold: values, or PNG bytes, by tag and step.

    What is behind a session's start is dropped, as TensorBoard does.
    """
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: dict[str, dict[int, object]] = defaultdict(dict)
    for file in sorted(folder.glob("events.*")):
        content, place = file.read_bytes(), 0
        while place < len(content):  # TFRecord: length, its checksum, data, its checksum
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += length + 16
            if event.session_log.status == SessionLog.START:
                for values in found.values():
                    for step in [step for step in values if step >= event.step]:
                        del values[step]
            for value in event.summary.value:
                assert event.step not in found[value.tag], "a step stands twice in the log"
                image = value.image.encoded_image_string
                found[value.tag][event.step] = image or value.simple_value
    return dict(found)


def _task(folder: Path) -> Original:
    return open_task(
        write_recipe(folder, "paired", STAGES), write_data(folder / "data", "paired"), Processes()
    )


def _engine(task: Original, **options: object) -> Engine:
    return Engine(task, Budget(steps=task.steps), Processes(), seed=task.seed, **options)


def test_curves_are_means_of_what_was_reported(tmp_path):
    task, news = _task(tmp_path), []
    engine = _engine(task, report=news.append)
    with logged(engine, tmp_path / "log"):
        engine.run()
    found = read_events(tmp_path / "log")
    points = [1, EVERY, 2 * EVERY]
    for name in ("generator", "generator/l1", "generator/adversarial", "discriminator"):
        curve = found[f"loss/{name}"]
        assert list(curve) == points
        values = [each.losses[name] for each in news]
        assert curve[1] == pytest.approx(values[0], rel=1e-5)
        assert curve[EVERY] == pytest.approx(np.mean(values[1:EVERY]), rel=1e-5)
        assert curve[2 * EVERY] == pytest.approx(np.mean(values[EVERY : 2 * EVERY]), rel=1e-5)
    rates = found["learning_rate/generator"]
    assert rates[1] == pytest.approx(2e-4)
    assert 0 < rates[2 * EVERY] < rates[EVERY]
    assert all(value > 0 for value in found["seconds_per_step"].values())


def test_a_run_that_goes_on_has_every_step_once(tmp_path):
    class KilledError(Exception):
        pass

    state = tmp_path / "state.pt"

    def kill(news: News) -> None:
        if news.step == EVERY + 5:
            raise KilledError

    engine = _engine(_task(tmp_path), state_file=state, report=kill)
    with pytest.raises(KilledError), logged(engine, tmp_path / "log"):
        engine.run()
    resumed_task = open_task(
        write_recipe(tmp_path, "paired", STAGES), tmp_path / "data", Processes()
    )
    engine = _engine(resumed_task, state_file=state)
    assert engine.resume()
    assert 0 < engine.step < EVERY + 5
    with logged(engine, tmp_path / "log"):
        engine.run()
    assert list(read_events(tmp_path / "log")["loss/generator"]) == [1, EVERY, 2 * EVERY]


def test_sheets_of_samples_and_steps_that_were_taken_before(tmp_path):
    sheets = tmp_path / "samples"
    sheets.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)

    def report(news: News) -> None:
        if news.step == 2:
            Image.fromarray(pixels).save(sheets / "step-000102.png")

    engine = _engine(_task(tmp_path), report=report)
    with logged(engine, tmp_path / "log", sheets=sheets, before=100):
        engine.run()
        Image.fromarray(pixels).save(sheets / f"step-{100 + STEPS:06d}.png")
    assert engine.report is report
    found = read_events(tmp_path / "log")
    assert list(found["samples"]) == [102, 100 + STEPS]
    (tmp_path / "seen.png").write_bytes(found["samples"][102])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "seen.png")), pixels)
    assert list(found["loss/generator"]) == [101, 100 + EVERY, 100 + 2 * EVERY]


def test_nothing_is_logged_unasked(tmp_path):
    engine = _engine(_task(tmp_path))
    before = sorted(tmp_path.iterdir())
    with logged(engine, None):
        assert engine.report is None
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_package_names_the_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    message = r"^--tensorboard needs tensorboardX: pip install 'decig\[tensorboard\]'$"
    with pytest.raises(BadInputError, match=message):
        require_events("--tensorboard")
