"""The parts of on_gpu.py that train, as processes of their own.

python -m parts.gpu original --recipe FILE --data DIR --seconds 180 --output-dir DIR
python -m parts.gpu compress --model FILE --table FILE --method decig --speedup 4 ...
"""

import shutil
from pathlib import Path
from typing import Any

import click
from curves import Notes
from options import one_line_errors

from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.device.run.threads import set_up_threads
from decig.files import write_json
from decig.graph import rewrite
from decig.graph.model import load_model, save_model
from decig.source.recipe import load_recipe
from decig.source.resolve import resolve
from decig.training import tasks
from decig.training.compression import pipeline
from decig.training.compression.planner import Goal
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.originals.shown import export

CURVES, REPORT = "curves.csv", "report.json"


@click.group()
def main() -> None:
    """Train one part."""
    set_up_threads()


@main.command()
@click.option("--recipe", type=EXISTING, required=True)
@click.option("--data", type=EXISTING_FOLDER, required=True)
@click.option("--seconds", type=float)
@click.option("--steps", type=click.IntRange(1))
@click.option("--output-dir", type=FOLDER, required=True)
def original(
    recipe: Path, data: Path, seconds: float | None, steps: int | None, output_dir: Path
) -> None:
    """Train the generator of a recipe for a time; goes on where it was stopped."""
    loaded, processes = load_recipe(recipe), Processes()
    task = tasks.find(str((loaded.train or {})["task"])).open_task(loaded, data, processes)
    output_dir.mkdir(parents=True, exist_ok=True)
    notes = Notes(output_dir / CURVES)

    def report(news: News) -> None:
        notes.add(dict(news.losses))

    engine = Engine(
        task,
        Budget(seconds, steps),
        processes,
        seed=task.seed,
        state_file=output_dir / "state.pt",
        report=report,
    )
    with one_line_errors():
        engine.resume()
        engine.run()
    export(task, engine.means, loaded, output_dir)
    figures = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1)}
    write_json(output_dir / REPORT, figures)


@main.command()
@click.option("--model", type=EXISTING_FILE, required=True)
@click.option("--table", type=EXISTING_FILE, required=True)
@click.option("--method", required=True)
@click.option("--speedup", type=float, required=True)
@click.option("--data", type=EXISTING_FOLDER, required=True)
@click.option("--targets", type=EXISTING_FOLDER, required=True)
@click.option("--config", type=EXISTING_FILE)
@click.option("--seconds", type=float)
@click.option("--steps", type=click.IntRange(1))
@click.option("--output-dir", type=FOLDER, required=True)
def compress(
    model: Path,
    table: Path,
    method: str,
    speedup: float,
    data: Path,
    targets: Path,
    config: Path | None,
    seconds: float | None,
    steps: int | None,
    output_dir: Path,
) -> None:
    """Compress as `decig compress` does, but plan by prediction alone.

    Others train on the same device meanwhile, so nothing can be measured there. What is written
    has the rewrites of the cost table.
    """
    source, costs = resolve(str(model)), CostTable.load(table)
    target = Target(costs)
    run = output_dir / "run"
    shutil.rmtree(run, ignore_errors=True)
    output_dir.mkdir(parents=True, exist_ok=True)
    notes = Notes(output_dir / CURVES)

    def progress(step: str, share: float, figures: dict[str, Any] | None = None) -> None:
        notes.add({f"{step}/{name}": float(value) for name, value in (figures or {}).items()})

    with one_line_errors():
        figures = pipeline.compress(
            Teacher(source.model, source.require_pixels(), source.feeds),
            Folders(data, targets),
            Goal(target, target.as_it_is_ms / speedup, Budget(seconds, steps)),
            Config.read(config, method),
            run,
            progress=progress,
        )
    assert figures is not None
    student = load_model(run / "student.onnx").proto
    save_model(rewrite.apply(student, costs.rewrites)[0], output_dir / "student.onnx")
    write_json(output_dir / REPORT, figures)


if __name__ == "__main__":
    main()
