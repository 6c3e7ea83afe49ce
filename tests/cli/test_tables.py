from decig.cli.tables import print_figures
from decig.device.measure.limits import Limits
from decig.device.measure.roofline import Roofline, Work, compare


def test_figures_are_one_line_each(capsys):
    widths = {f"group.{index}": index for index in range(40)}
    print_figures({"schema_version": 1, "ssim": 0.123456789, "widths": widths, "note": "[bold]x"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ssim: 0.12346"
    assert lines[1].startswith("widths: group.0 0, group.1 1, ")
    assert lines[1].endswith("group.39 39")
    assert lines[2:] == ["note: [bold]x"]


def test_the_roofline_is_one_line_a_graph(capsys):
    work = {"conv": Work(5_000_000, 400_000)}
    found = Roofline.of(Limits(100.0, 20.0), [("conv", "Conv", 400.0)], work)
    print_figures({"roofline": compare(found, found)})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["reference", "candidate"]
    assert "25 of 100 GFLOP/s" in lines[0]
