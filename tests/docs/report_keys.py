"""The keys of report.json that other programs may rely on (docs/stability.md)."""

import msgspec

from decig.schema import Count, NotNegative, Positive


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a finished run of `decig compress`; there may be more keys.

    A run for multiply-accumulates (`--target-macs`) is for no device and has no latencies.

    Attributes:
        method: name of the method that found the widths.
        original_latency_ms: of MODEL as it is, in milliseconds.
        target_latency_ms: latency that was asked for; null where none was.
        predicted_latency_ms: of the result, by the cost table.
        measured_latency_ms: of the result once exported; null on another device than the table's.
        ssim: likeness of held-out pictures to the original's; null where it cannot be told.
        psnr_db: the same as PSNR, in dB.
        held_out_images: how many pictures these figures are a mean of.
        steps: steps of the last training.
        training_seconds: how long it took.
        warnings: what whoever uses the result should know, one line each.
    """

    method: str
    original_latency_ms: Positive | None = None
    target_latency_ms: Positive | None = None
    predicted_latency_ms: Positive | None = None
    measured_latency_ms: Positive | None = None
    ssim: float | None
    psnr_db: float | None
    held_out_images: Count
    steps: Count
    training_seconds: NotNegative
    warnings: list[str] = []
