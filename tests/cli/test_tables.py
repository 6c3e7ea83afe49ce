from decig.cli.tables import print_figures


def test_figures_are_one_line_each(capsys):
    widths = {f"group.{index}": index for index in range(40)}
    print_figures({"ssim": 0.123456789, "widths": widths, "note": "[bold]x"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ssim: 0.12346"
    assert lines[1].startswith("widths: group.0 0, group.1 1, ")
    assert lines[1].endswith("group.39 39")
    assert lines[2:] == ["note: [bold]x"]
