"""DECIG from scratch: an original is condensed while it is trained, cut, and trained on.

N. A. Shah and G. Bharaj, "Towards Device Efficient Conditional Image Generation" (BMVC 2022),
section 3. The steps of the recipe are shared by two stages, so that the whole takes hardly longer
than training the original does:

* Stage I trains the generators as the recipe says, under the penalty of `decig.training.condense`,
  which is steered so that the predicted latency of the channels that live falls to the target.
* The condensed generators are cut (`decig.training.hinge_cut`).
* Stage II goes on with what is left, against the discriminators as they are by then. The task's
  losses stay; the condensed generators are the teachers.

The learning rate runs through both stages as if nothing were cut. Stage II trains the graph, not
the PyTorch module: dropout and the generator's spectral norm end with stage I, as in GAN
Compression (Li et al., CVPR 2020), whose students have neither.

What takes the channels away is a `decig.training.condense.Narrowing`: another way to find widths
without a teacher replaces `Condenser` here.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from decig.device.cost.table import CostTable
from decig.device.plan.target import TABLE_FILE, Target
from decig.device.run.timing import missed
from decig.errors import BadInputError
from decig.files import make_folder, write_json
from decig.graph.channels import analyse
from decig.graph.model import Model, initializers, input_info, load_model, save_model
from decig.schema import WrittenByHand, convert
from decig.training.condense import UNASKED, Condenser, Steered, run_times
from decig.training.engine import Engine
from decig.training.hinge_cut import (
    HINGES_FILE,
    Condensed,
    cut_condensed,
    keeps_what_is_condensed,
)
from decig.training.parity import require_parity
from decig.training.processes import Processes
from decig.training.pytorch.binding import weights_of
from decig.training.run import SCHEMA_VERSION
from decig.training.schedule import Budget
from decig.training.shown import Shown, Training, save
from decig.training.stages import Condensing
from decig.training.stretch import Slim, Stretch, Taught
from decig.training.tasks import Condensable

_log = logging.getLogger(__name__)

CONDENSED, START = "condensed", "start"
"""Folders of the run: what stage I has left, whole, and what stage II begins with."""
STUDENT_STATE_FILE = "student.pt"
"""File of the run folder from which a stopped stage II goes on."""
_NEEDED = ("paint", "pictures", "sizes")
"""Names of what a task must have to be condensed, beside what every original has."""


@dataclass(frozen=True)
class Wanted:
    """What generators are condensed to.

    Attributes:
        table: cost table of the recipe's model, whatever the weights were that it was taken with.
        target_ms: latency on its device; None lets the hinges decide.
        force: whether a table of another device serves.
    """

    table: CostTable
    target_ms: float | None = None
    force: bool = False

    def record(self) -> dict[str, Any]:
        """Return what the file of a run says of it, as plain JSON values."""
        return {
            "target_ms": self.target_ms,
            "table": self.table.model.sha256,
            "device": self.table.device.to_dict(),
        }

    def save(self, folder: Path) -> None:
        """Leave the table in a run folder."""
        self.table.save(folder / TABLE_FILE)


@dataclass(frozen=True)
class _Generator:
    """One generator that is condensed.

    Attributes:
        name: of the net.
        target: its graph on the device.
        condenser: takes its channels away.
    """

    name: str
    target: Target
    condenser: Condenser


class Condensation:
    """The training of an original that is condensed on the way."""

    def __init__(self, training: Training, wanted: Wanted, processes: Processes) -> None:
        """Find out whether the task can be condensed; nothing is trained or written yet.

        Args:
            training: the original, with fresh nets.
            wanted: what it is condensed to.
            processes: that train together.

        Raises:
            BadInputError: the task cannot be condensed, one of its generators cannot, or the
                table is of another one.
            TargetMissedError: the latency is out of reach.
            DecigError: a generator as a graph does not compute what its module does.
        """
        self._training, self._wanted, self._processes = training, wanted, processes
        self._task = _condensable(training)
        self._settings = _settings(training)
        steps = self._task.steps
        if steps < 2:
            raise BadInputError(f"{_file(training)}: one step cannot be shared by two stages")
        first = min(steps - 1, max(1, round(self._settings.share * steps)))
        self._stages = Stretch(self._task, 0, first), (first, steps)
        with tempfile.TemporaryDirectory() as scratch:
            self._generators = self._bind(Path(scratch))

    def _bind(self, scratch: Path) -> list[_Generator]:
        """Export the fresh generators, and find their weights in what is written."""
        task, wanted, device = self._task, self._wanted, self._processes.device
        for net in task.nets.values():
            net.to(device)  # before anything is bound to where its weights are
        slim = {}
        found = []
        exported = task.exports(task.nets)
        for path in self._training.export(task.nets, scratch):
            name, net = path.stem, exported[path.name]
            if name not in task.nets:
                raise BadInputError(f"the task exports {path.name}, but has no net {name!r}")
            model = self._named(load_model(path), name)
            channels = analyse(model.proto)
            wanted.table.require_same_structure(model, channels)
            target = Target.of(wanted.table, model, force=wanted.force)
            if wanted.target_ms is not None:
                target.require_reachable(wanted.target_ms)
            weights = weights_of(task.nets[name], net, initializers(model.proto))
            times = run_times(target.spent(), channels)
            condenser = Condenser(weights, channels, times, self._settings.weighting)
            _require_some(model, condenser)
            slim[name] = self._trainable(model).to(device).eval()
            found.append(_Generator(name, target, condenser))
        with torch.no_grad():
            task.paint(slim, task.batch(0))  # at the size and in the number of the batches
        return found

    def _named(self, model: Model, name: str) -> Model:
        """Call a graph as people know it, for messages."""
        return replace(model, path=Path(f"{_file(self._training)} ({name})"))

    def _trainable(self, model: Model) -> Slim:
        """Build the graph as a module, and refuse what stage II would stumble over.

        Raises:
            BadInputError: a node cannot be trained, or has the declared size baked in.
            DecigError: the module does not compute what the graph does.
        """
        for size in set(self._task.sizes):
            Slim(model, size)
        slim = Slim(model)
        rng = np.random.default_rng(0)
        feeds = {
            info.name: rng.uniform(-1, 1, info.shape).astype(np.float32)
            for info in input_info(model.proto)
        }
        require_parity(slim.graph, model.proto, feeds)
        return slim

    def run(self, state: Path) -> Path:
        """Train both stages, or what is left of them.

        Args:
            state: file from which a stopped stage I goes on; stage II needs what it ends with.

        Returns:
            The path of the first generator's file.

        Raises:
            TargetMissedError: no plan is fast enough; the condensed generators are kept, and the
                run can be resumed with another target.
            DecigError, KeyboardInterrupt: as for `Engine.run`.
        """
        return self._teach(self._condense(state))

    def _condense(self, state: Path) -> Engine:
        """Stage I, and the cut."""
        stage, wanted = self._stages[0], self._wanted
        parts = []
        for generator in self._generators:
            begin = generator.target.predictor.baseline_ms
            end = wanted.target_ms or begin / UNASKED
            predict = generator.target.predictor.predict_ms
            schedule = stage.group_of(generator.name).schedule
            parts.append(Steered(generator.condenser, schedule, predict, begin, min(begin, end)))
        engine = self._engine(stage, state, parts)
        engine.resume()
        folder = self._training.folder / CONDENSED
        self._processes.on_main(lambda: make_folder(folder))
        shown = Shown(engine, self._training, lambda: self._training.export(engine.means, folder))
        shown.run(partial(self._cut, engine), "condense")
        return engine

    def _engine(self, stage: Stretch, state: Path, parts: Sequence[Steered] = ()) -> Engine:
        """The engine of a stage, at its first step."""
        budget, seed = Budget(steps=stage.steps), self._task.seed
        return Engine(stage, budget, self._processes, seed=seed, parts=parts, state_file=state)

    def _cut(self, engine: Engine) -> None:
        """Write the condensed generators and cut them, if that was not done before."""
        training, folder = self._training, self._training.folder
        if (folder / HINGES_FILE).is_file():
            return
        targets = {generator.name: generator.target for generator in self._generators}
        found: dict[str, Condensed] = {}
        make_folder(folder / START)
        for path in training.export(engine.means, folder / CONDENSED):
            name = path.stem
            with keeps_what_is_condensed(folder):
                found[name] = cut_condensed(load_model(path), targets[name], self._wanted.target_ms)
            found[name].plan.save(path.with_suffix(".plan.json"))
            save_model(found[name].sliced.proto, folder / START / path.name)
        generators = {name: condensed.record() for name, condensed in found.items()}
        # Last, as it says that all is cut.
        write_json(
            folder / HINGES_FILE, {"schema_version": SCHEMA_VERSION, "generators": generators}
        )

    def _teach(self, condensed: Engine) -> Path:
        """Stage II."""
        task, folder, settings = self._task, self._training.folder, self._settings
        names = [generator.name for generator in self._generators]
        kept = {
            name: condensed.group_state(name)
            for name, group in task.groups.items()
            if not set(names) & set(group.nets)
        }
        start = {name: load_model(folder / START / f"{name}.onnx") for name in names}
        task.nets.update({name: Slim(model) for name, model in start.items()})
        teachers = {name: condensed.means[name] for name in names}
        stage = Taught(task, *self._stages[1], teachers=teachers, weight=settings.teacher)
        engine = self._engine(stage, folder / STUDENT_STATE_FILE)
        for name, group in kept.items():
            engine.load_group(name, group)
        engine.resume()

        def export() -> list[Path]:
            paths = []
            for name, model in start.items():
                mean = cast(Slim, engine.means[name])
                paths.append(folder / f"{name}.onnx")
                save(mean.written_into(model.proto), self._training.recipe, paths[-1])
            return paths

        shown = Shown(engine, self._training, export, before=stage.first)
        return shown.run(partial(self._finish, condensed, engine, shown), "teach")

    def _finish(self, condensed: Engine, taught: Engine, shown: Shown) -> Path:
        """Write the result, and what is known of it."""
        written = shown.write()
        engines = {"condense": condensed, "teach": taught}
        figures = {each.name: self._figures(each) for each in self._generators}
        report = {
            "schema_version": SCHEMA_VERSION,
            "method": "decig",
            "target_latency_ms": self._wanted.target_ms,
            "original_latency_ms": self._wanted.table.as_it_is_ms,
            "steps": {name: engine.step for name, engine in engines.items()},
            "training_seconds": {n: round(e.elapsed_s, 1) for n, e in engines.items()},
            "generators": figures,
            "warnings": [*self._generators[0].target.warnings, *self._misses(figures)],
        }
        write_json(self._training.folder / "report.json", report)
        return written

    def _misses(self, figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Say which generators take longer than was asked for, one line each."""
        target_ms, lines = self._wanted.target_ms, []
        for name, found in figures.items():
            measured_ms = found["measured_latency_ms"]
            if measured_ms is not None and missed(measured_ms, target_ms):
                lines.append(
                    f"{name}: takes {measured_ms:.4g} ms, over the {target_ms:.4g} ms asked"
                )
                _log.warning("%s", lines[-1])
        return lines

    def _figures(self, generator: _Generator) -> dict[str, Any]:
        model = load_model(self._training.folder / f"{generator.name}.onnx")
        widths = {group.name: group.channels for group in analyse(model.proto).prunable}
        bench = generator.target.bench
        return {
            "predicted_latency_ms": generator.target.predictor.predict_ms(widths),
            "measured_latency_ms": bench and bench.latency(model.proto).median_ms,
            "widths": widths,
        }


def _file(training: Training) -> Path:
    return training.recipe.folder / "recipe.toml"


def _condensable(training: Training) -> Condensable:
    task, source = training.task, training.recipe.source
    if source is not None and source.batch_statistics:
        raise BadInputError(
            f"{_file(training)}: source.batch_statistics is true, but batch norms are trained, and "
            "exported, with saved statistics: leave it out, and profile the recipe again"
        )
    lacking = [name for name in _NEEDED if not hasattr(task, name)]
    if lacking:
        raise BadInputError(
            f"{_file(training)}: its task trains originals but cannot condense them, as it has no "
            f"{', '.join(lacking)}; train without a cost table"
        )
    return cast(Condensable, task)


class _Table(WrittenByHand, frozen=True):
    """What is read here of the table [train]; the task reads the rest."""

    condense: Condensing = Condensing()


def _settings(training: Training) -> Condensing:
    written = {k: v for k, v in (training.recipe.train or {}).items() if k == "condense"}
    return convert(written, _Table, f"{_file(training)}: [train]").condense


def _require_some(model: Model, condenser: Condenser) -> None:
    """Refuse a net none of whose channels can be condensed, and name those that cannot."""
    groups = [group.name for group in analyse(model.proto).prunable]
    left = [name for name in groups if name not in condenser.groups]
    if left == groups:
        raise BadInputError(
            f"{model.path}: no group of its channels is read by weights of its own alone, so none "
            "can be condensed in training; train it without a cost table and use decig compress"
        )
    if left:
        _log.warning("%s: not condensed in training, but cut: %s", model.path, ", ".join(left))
