"""`decig train`: an original generator, trained from data as its recipe describes."""

import copy
import json
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from decig.data.sheet import write_sheet
from decig.errors import BadInputError
from decig.files import json_text, make_folder, require_folder, write_json
from decig.graph.model import save_model
from decig.schema import read_json
from decig.source.recipe import Recipe
from decig.source.stamp import pixels_entry, stamp
from decig.train import tasks
from decig.train.engine import Engine, News
from decig.train.events import logged
from decig.train.nets.recognise import DISCRIMINATORS
from decig.train.processes import Processes
from decig.train.pytorch.discriminator import save_discriminator
from decig.train.pytorch.exporter import export_onnx
from decig.train.run import EVENTS_FOLDER, Begun, hold
from decig.train.schedule import Budget
from decig.train.stages import Direction

_log = logging.getLogger(__name__)

LOG_EVERY_S = 30.0
"""Seconds between two log lines; the first one comes after the first step."""
STATE_FILE = "state.pt"
"""File of a run folder from which a stopped training goes on."""
_ASKED = "training.json"
"""File of the run folder that says what is trained, so that nothing else goes on there."""


def train(
    recipe: Recipe,
    output_dir: Path,
    *,
    data: Path | None = None,
    direction: Direction | None = None,
    resume: bool = False,
    begun: Begun | None = None,
    sample_every_s: float = 600.0,
    tensorboard: bool = False,
) -> Path | None:
    """Train the recipe's generator and export it.

    The run folder receives `training.json` (what is trained, and how), `state.pt` (all that is
    needed to go on), `samples/*.png` (pictures of held-out examples), the ONNX files of the task
    and its discriminators (`discriminator.safetensors`), by which a compression can judge students;
    files are renewed with every sheet of samples and at the end. Every choice follows from the seed
    and the step number, so a run that was killed and resumed ends with the weights of one that
    was not.

    Args:
        recipe: with its tables [source] and [train].
        output_dir: the run folder; made if missing.
        data: folder of the data; None takes the recipe's own.
        direction: "AtoB" or "BtoA", which of the data's two sides is made of the other; None
            takes the recipe's own.
        resume: go on from `state.pt` of the run folder.
        begun: leaves in the folder of a new run what is needed to go on with it.
        sample_every_s: seconds between two sheets of samples.
        tensorboard: log losses and sheets of samples for TensorBoard, in the run folder.

    Returns:
        The path of the exported ONNX file, of the first one where the task exports several; None
        in all processes but the main one.

    Raises:
        BadInputError: the recipe cannot be trained, the data does not fit, a run is there
            already and `resume` is false, none is there, or one by another recipe, and it is
            true, or another process is at work there.
        DecigError: a loss is no number, or a file cannot be written; the last saved state is kept.
        KeyboardInterrupt: Ctrl-C; the state is kept.
    """
    processes = Processes()
    state = output_dir / STATE_FILE
    processes.on_main(lambda: _check(output_dir, state, resume=resume))
    module = tasks.find(str((recipe.train or {}).get("task", "paired")))
    if direction is not None:
        recipe = _directed(recipe, direction)
    task = module.open_task(recipe, data, processes)
    with hold(output_dir) as take:

        def begin() -> None:
            make_folder(output_dir / "samples")
            take()
            _check(output_dir, state, resume=resume)
            if resume:
                _require_same(output_dir / _ASKED, _asked(recipe))
                return
            write_json(output_dir / _ASKED, _asked(recipe))
            if begun is not None:
                begun(output_dir)

        processes.on_main(begin)
        engine = Engine(task, Budget(steps=task.steps), processes, seed=task.seed, state_file=state)
        engine.resume()
        shown = _Shown(engine, task, recipe, output_dir, sample_every_s, engine.step)
        engine.report = shown.report
        if not resume:
            processes.on_main(shown.require_exportable)
        events = output_dir / EVENTS_FOLDER if tensorboard else None
        with logged(engine, events, sheets=output_dir / "samples"):
            engine.run()
            written = processes.on_main(shown.write)
    return written if processes.main else None


def _directed(recipe: Recipe, direction: Direction) -> Recipe:
    """Put a direction into the table [train.data]; what fits no table is for the task to refuse."""
    table = (recipe.train or {}).get("data", {})
    if recipe.train is None or not isinstance(table, dict):
        return recipe
    return replace(recipe, train={**recipe.train, "data": {**table, "direction": direction}})


def _check(folder: Path, state: Path, *, resume: bool) -> None:
    """Raise BadInputError if the run folder does not hold what `resume` expects."""
    require_folder(folder)
    if resume and not state.is_file():
        raise BadInputError(f"{state}: no run to resume there")
    if state.exists() and not resume:
        raise BadInputError(f"{folder}: holds a run already; go on with --resume")


def _asked(recipe: Recipe) -> dict[str, Any]:
    """What a training must have in common with the one that it goes on with, as JSON values."""
    parts = (recipe.source, recipe.pixels, recipe.input_shapes, recipe.train)
    names = ("source", "pixels", "input_shapes", "train")
    asked: dict[str, Any] = json.loads(json_text(dict(zip(names, map(_plain, parts), strict=True))))
    return asked


def _plain(part: Any) -> Any:
    """A record of a recipe as plain values."""
    return asdict(part) if is_dataclass(part) and not isinstance(part, type) else part


def _require_same(file: Path, asked: dict[str, Any]) -> None:
    """Compare with what was asked for when the run began.

    Raises:
        BadInputError: the file is missing or damaged, or says something else; names the key.
    """
    known = read_json(file, dict[str, Any], "record of a run to resume")
    before, now = (_flat(asked_for) for asked_for in (known, asked))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise BadInputError(
                f"{file.parent}: the run there was begun with {key} = {before.get(key)!r}, not "
                f"{now.get(key)!r}; go on with the same recipe and options"
            )


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Values of nested tables by their keys, such as "train.data.direction"."""
    if not isinstance(value, dict):
        return {key: value}
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= _flat(part, f"{key}.{name}" if key else name)
    return found


@dataclass
class _Shown:
    """Tells how training goes: log lines, and now and then samples and the exported files."""

    engine: Engine
    task: tasks.Original
    recipe: Recipe
    folder: Path
    every_s: float
    _logged_step: int
    _logged: float = field(default_factory=time.monotonic)
    _sampled: float = field(default_factory=time.monotonic)
    _first: bool = True

    def report(self, news: News) -> None:
        """Take note of a step."""
        now = time.monotonic()
        if self._first or now - self._logged >= LOG_EVERY_S:
            self._log(news, (now - self._logged) / (news.step - self._logged_step))
            self._logged, self._logged_step, self._first = now, news.step, False
        if now - self._sampled >= self.every_s:
            self.write()
            self._sampled = time.monotonic()

    def _log(self, news: News, pace_s: float) -> None:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in news.losses.items())
        left = duration((self.task.steps - news.step) * pace_s)
        line = "step %d of %d: %s, %.3f s per step, %s left"
        _log.info(line, news.step, self.task.steps, losses, pace_s, left)

    def require_exportable(self) -> None:
        """Export the task's nets as they are: what fails must fail now, not when they are trained.

        Raises:
            BadInputError, DecigError: as for `export_onnx`.
        """
        with tempfile.TemporaryDirectory() as scratch:
            export(self.task, self.engine.means, self.recipe, Path(scratch))

    def write(self) -> Path:
        """Write a sheet of samples, discriminators and ONNX files; returns the first of those."""
        sheet = self.folder / "samples" / f"step-{self.engine.step:06d}.png"
        write_sheet(self.task.show(self.engine.means), sheet)
        for name, net in self.task.nets.items():
            if isinstance(net, DISCRIMINATORS):
                save_discriminator(net, self.folder / f"{name}.safetensors")
        return export(self.task, self.engine.means, self.recipe, self.folder)[0]


def export(
    task: tasks.Original, nets: Mapping[str, nn.Module], recipe: Recipe, folder: Path
) -> list[Path]:
    """Write the ONNX files of a task into a folder; each says how it is fed.

    Args:
        task: says which nets are written, under which names.
        nets: the running means of its nets.
        recipe: of its generator.
        folder: where the files go.

    Returns:
        Their paths.

    Raises:
        BadInputError, DecigError: as for `export_onnx`.
    """
    paths = []
    for name, net in task.exports(nets).items():
        paths.append(folder / name)
        export_onnx(copy.deepcopy(net).cpu(), recipe.input_shapes, paths[-1])
        proto = onnx.load(paths[-1])
        stamp(proto, {"pixels": pixels_entry(recipe.pixels)})
        save_model(proto, paths[-1])
    return paths


def duration(seconds: float) -> str:
    """Write a duration in its largest units, such as "2 d 3 h", "1 h 5 min" or "40 s"."""
    parts: list[str] = []
    rest = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
