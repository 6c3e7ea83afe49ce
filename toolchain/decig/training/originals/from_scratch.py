"""An original becomes narrower while it is trained from scratch: it is condensed, cut, trained on.

N. A. Shah and G. Bharaj, "Towards Device Efficient Conditional Image Generation" (BMVC 2022),
section 3. The steps of the recipe are shared by two stages, so that the whole takes hardly longer
than training the original does:

* Stage I trains the generators as the recipe says, while the method takes channels away. It is
  steered so that the predicted latency of the channels that live falls to the target.
* The generators are cut.
* Stage II goes on with what is left, against the discriminators as they are by then. The task's
  losses stay; with the method decig, the condensed generators are the teachers.

The learning rate runs through both stages as if nothing were cut. Stage II trains the graph, not
the PyTorch module: dropout and the generator's spectral norm end with stage I, as in GAN
Compression (Li et al., CVPR 2020), whose students have neither. Latents multiply the weights of
the graph, so with the method hypernet there is neither from the beginning.

How channels are taken away is a `decig.training.narrowing.fresh.Way`, which a method has
(`decig.training.methods.FromScratch`).
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from onnx import ModelProto
from torch.fx import GraphModule

from decig.device.run.timing import missed
from decig.errors import BadInputError
from decig.files import make_folder, write_json
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model, input_info, load_model, save_model
from decig.graph.plan import plan_from_widths
from decig.graph.slicing import slice_graph
from decig.training.loop.engine import Engine
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.narrowing.cut import Cut
from decig.training.narrowing.fresh import Fresh, Way
from decig.training.narrowing.hinge_cut import HINGES_FILE, keeps_what_is_condensed
from decig.training.narrowing.steering import Steered
from decig.training.originals.condensing_goal import CondensingGoal
from decig.training.originals.shown import Shown, Training, with_statistics
from decig.training.originals.stretch import Stretch, Taught
from decig.training.runs.run import REPORT_FILE, SCHEMA_VERSION
from decig.training.tasks import Condensable
from decig.training.trainable.parity import require_parity
from decig.training.trainable.slim import Slim

_log = logging.getLogger(__name__)

CONDENSED, START = "condensed", "start"
"""Folders of the run: what stage I has left, whole, and what stage II begins with."""
STUDENT_STATE_FILE = "student.pt"
"""File of the run folder from which a stopped stage II goes on."""
_NEEDED = ("paint", "pictures", "sizes")
"""Names of what a task must have to be condensed, beside what every original has."""


class Condensation:
    """The training of an original that is condensed on the way."""

    def __init__(
        self,
        training: Training,
        wanted: CondensingGoal,
        way: Way,
        processes: Processes,
        *,
        begins: bool = True,
    ) -> None:
        """Find out whether the task can be condensed; nothing is trained or written yet.

        Args:
            training: the original, with fresh nets.
            wanted: what it is condensed to.
            way: how its method does that.
            processes: that train together.
            begins: whether the training is new, or waits for another target. Then a target that no
                cut will reach is refused; a run that goes on is not measured again.

        Raises:
            BadInputError: the task cannot be condensed, one of its generators cannot, or the
                table is of another one.
            TargetMissedError: the latency is out of reach.
            DecigError: a generator as a graph does not compute what its module does.
        """
        self._training, self._wanted, self._processes = training, wanted, processes
        self._task = _condensable(training)
        self._teacher = way.teacher
        steps = self._task.steps
        if steps < 2:
            raise BadInputError(f"{_file(training)}: one step cannot be shared by two stages")
        first = min(steps - 1, max(1, round(way.share * steps)))
        self._stages = Stretch(self._task, 0, first), (first, steps)
        with tempfile.TemporaryDirectory() as scratch:
            self._generators = self._open(Path(scratch), begins=begins)
        self._narrowers = {each.name: way.narrow(each) for each in self._generators}
        self._task.nets.update({name: each.net for name, each in self._narrowers.items()})

    def _open(self, scratch: Path, *, begins: bool) -> list[Fresh]:
        """Export the fresh generators, and refuse what the stages would stumble over."""
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
            target = wanted.of(model, channels)
            target_ms = wanted.counted(target)
            if target_ms is not None and begins:
                narrowed = partial(_narrowed, model, channels)
                reach = partial(target.require_reachable, target_ms, narrowed)
                self._processes.on_main(reach)
            schedule = self._stages[0].group_of(name).schedule
            what = (name, task.nets[name], net, model, channels, target, target_ms, schedule)
            found.append(Fresh(*what, seed=task.seed))
            slim[name] = self._trainable(model).to(device).eval()
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
        assert isinstance(slim.graph, GraphModule)
        require_parity(slim.graph, model.proto, feeds)
        return slim

    def run(self, state: Path) -> Path:
        """Train both stages, or what is left of them; nothing is left of a finished training.

        Args:
            state: file from which a stopped stage I goes on; stage II needs what it ends with.

        Returns:
            The path of the first generator's file.

        Raises:
            TargetMissedError: no plan is fast enough; the condensed generators are kept, and the
                run can be resumed with another target.
            DecigError, KeyboardInterrupt: as for `Engine.run`.
        """
        folder = self._training.folder
        if self._processes.from_main(state.is_file() and (folder / REPORT_FILE).is_file()):
            _log.info("%s: this training is finished; nothing is left to go on with", folder)
            return folder / f"{self._generators[0].name}.onnx"
        return self._teach(self._condense(state))

    def _condense(self, state: Path) -> Engine:
        """Stage I, and the cut."""
        parts = [narrower.part for narrower in self._narrowers.values()]
        engine = self._engine(self._stages[0], state, parts)
        engine.resume()
        folder = self._training.folder / CONDENSED
        self._processes.on_main(lambda: make_folder(folder))
        export = partial(self._training.export, engine.means, folder)
        shown = Shown(engine, self._training, export)
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
        found: dict[str, Cut] = {}
        make_folder(folder / START)
        for name, narrower in self._narrowers.items():
            narrower.settle(engine.means[name])
        for path in training.export(engine.means, folder / CONDENSED):
            name = path.stem
            with keeps_what_is_condensed(folder):
                found[name] = self._narrowers[name].cut(load_model(path), engine.means[name])
            found[name].plan.save(path.with_suffix(".plan.json"))
            save_model(found[name].sliced.proto, folder / START / path.name)
        generators = {name: cut.record() for name, cut in found.items()}
        # Last, as it says that all is cut.
        write_json(
            folder / HINGES_FILE, {"schema_version": SCHEMA_VERSION, "generators": generators}
        )

    def _teach(self, condensed: Engine) -> Path:
        """Stage II."""
        task, folder, names = self._task, self._training.folder, list(self._narrowers)
        kept = {
            name: condensed.group_state(name)
            for name, group in task.groups.items()
            if not set(names) & set(group.nets)
        }
        starts = {name: load_model(folder / START / f"{name}.onnx") for name in names}
        task.nets.update({name: Slim(model) for name, model in starts.items()})
        painters = with_statistics(task, condensed.means, self._training.recipe)
        teachers = {name: painters[name] for name in names}
        stage = Taught(task, *self._stages[1], teachers=teachers, weight=self._teacher)
        engine = self._engine(stage, folder / STUDENT_STATE_FILE)
        for name, group in kept.items():
            engine.load_group(name, group)
        engine.resume()

        export = partial(self._training.export, engine.means, folder)
        shown = Shown(engine, self._training, export, before=stage.first)
        return shown.run(partial(self._finish, condensed, engine, shown), "teach")

    def _finish(self, condensed: Engine, taught: Engine, shown: Shown) -> Path:
        """Write the result, and what is known of it."""
        written = shown.write()
        engines = {"condense": condensed, "teach": taught}
        figures = {each.name: self._figures(each) for each in self._generators}
        report = {
            "schema_version": SCHEMA_VERSION,
            "method": self._wanted.method,
            **self._generators[0].target.asked(self._generators[0].target_ms),
            "steps": {name: engine.step for name, engine in engines.items()},
            "training_seconds": {n: round(e.elapsed_s, 1) for n, e in engines.items()},
            "generators": figures,
            "warnings": [*self._generators[0].target.caveats, *self._misses(figures)],
        }
        write_json(self._training.folder / REPORT_FILE, report)
        return written

    def _misses(self, figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Say which generators take longer than was asked for, one line each."""
        lines = []
        for generator in self._generators:
            name, target_ms = generator.name, generator.target_ms
            measured_ms = figures[name]["measured_latency_ms"]
            if measured_ms is not None and missed(measured_ms, target_ms):
                lines.append(
                    f"{name}: takes {measured_ms:.4g} ms, over the {target_ms:.4g} ms asked"
                )
                _log.warning("%s", lines[-1])
        return lines

    def _figures(self, generator: Fresh) -> dict[str, Any]:
        model = load_model(self._training.folder / f"{generator.name}.onnx")
        widths = {group.name: group.channels for group in analyse(model.proto).prunable}
        predictor, bench = generator.target.predictor, generator.target.bench
        return {
            **generator.target.prediction(predictor.predict_ms(widths)),
            "measured_latency_ms": bench and bench.latency(model.proto).median_ms,
            "widths": widths,
        }


def _narrowed(model: Model, channels: ChannelMap, widths: Mapping[str, int]) -> ModelProto:
    """Cut a graph with fresh weights, of which no channel counts more than another."""
    scores = {group.name: np.ones(group.channels) for group in channels.prunable}
    plan = plan_from_widths(channels, widths, scores, model.sha256)
    return slice_graph(model.proto, channels, plan)


def _file(training: Training) -> Path:
    return training.recipe.folder / "recipe.toml"


def _condensable(training: Training) -> Condensable:
    task = training.task
    lacking = [name for name in _NEEDED if not hasattr(task, name)]
    if lacking:
        raise BadInputError(
            f"{_file(training)}: its task trains originals but cannot condense them, as it has no "
            f"{', '.join(lacking)}; train the whole generator, then use decig compress"
        )
    return cast(Condensable, task)
