"""Take a cost table of models/facades-resunet for this folder.

    python profiles/take.py --name epyc [--ep cpu] [--threads 1]

It is what `decig profile models/facades-resunet` writes, without the names of machine and kernel.
"""

import platform
from dataclasses import replace
from pathlib import Path

import click

from decig.device.cost.deployed import profile_as_deployed
from decig.device.run.device import Device
from decig.source.resolve import resolve

HERE = Path(__file__).parent
MODEL = HERE.parent / "models" / "facades-resunet"


@click.command()
@click.option("--name", required=True, help="What people call the machine.")
@click.option("--ep", default="cpu", show_default=True, help="Execution provider.")
@click.option("--threads", default=1, show_default=True)
def main(name: str, ep: str, threads: int) -> None:
    """Write NAME-EP-THREADS.json beside this file."""
    device = Device.of(ep, threads=threads)
    model = resolve(str(MODEL)).model
    table = profile_as_deployed(model, device, lambda done, total: None)
    if table.doubts:
        raise click.ClickException(f"{'; '.join(table.doubts)}; not written")
    file = HERE / f"{name}-{ep}-{threads}.json"
    public = replace(table.device, machine=name, system=platform.system())
    replace(table, device=public).save(file)
    click.echo(f"{file}: {table.latency_us.median_ms:.2f} ms")


if __name__ == "__main__":
    main()
