import logging

from decig.cli.progress import ProgressBar


def test_without_a_terminal_it_logs_the_start_of_every_step(caplog):
    with caplog.at_level(logging.INFO, "decig"), ProgressBar() as bar:
        for share in (0.0, 0.5, 1.0):
            bar.update("distil", share, {"loss": 0.25, "ssim": 0.9})
        bar.count("export", 1, 4)
    assert caplog.messages == ["distil: 0 % loss 0.25, ssim 0.9", "export: 25 % "]


def test_large_figures_are_written_in_full(caplog):
    with caplog.at_level(logging.INFO, "decig"), ProgressBar() as bar:
        bar.update("plan", 1.0, {"predicted_macs": 886500.0, "loss": 1e-7})
    assert caplog.messages == ["plan: 100 % predicted_macs 886,500, loss 1e-07"]


def test_steps_follow_each_other_in_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressBar() as bar:
        bar.update("one", 0.5)
        bar.update("two", 1.0)
    bar.update("late", 1.0)
