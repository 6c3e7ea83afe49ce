"""Widths for `decig slice --keep`: a share of every group, on widths that the kernels are made for.

Kernels compute channels in blocks. A group that is cut to a width inside of a block does not get
faster, and may get slower. So widths go up: with a cost table to the edge of the device's stair,
and else to a multiple of `ALIGN` channels.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from decig.graph.channels import ChannelMap, Group
from decig.graph.plan import FLOOR, floor_of, uniform_widths

if TYPE_CHECKING:
    from decig.device.cost.predict import Predictor

ALIGN = 4
"""Channels of which widths are multiples where nothing is known of the device. ONNX Runtime's
blocked convolutions on processors take inputs in multiples of 4, and 16 outputs at a time."""

_NAMED = 3
"""Groups that a notice names before it counts the rest."""


def share_widths(
    channels: ChannelMap, ratio: float, align: int | None, predictor: "Predictor | None"
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Choose the width of every prunable group for a share of its channels.

    Args:
        channels: the groups.
        ratio: the share, above 0 and up to 1; no width is less than that.
        align: channels of which widths are to be multiples; None for the edges of the device's
            stairs or, without a cost table, for `ALIGN`.
        predictor: of the cost table; None without one.

    Returns:
        The widths, and notices: how they differ from the share, one line each.
    """
    exact = uniform_widths(channels, ratio)
    notices = _at_floor(channels, ratio)
    if align is None and predictor is not None:
        from decig.device.plan.edges import to_stair_edges

        widths = to_stair_edges(predictor, exact)
        if wider := _differing(widths, exact):
            was, now = (predictor.predict_ms(each) for each in (exact, widths))
            notices.append(
                f"{few(wider)}: wider than this share, up to the edge of the device's stair; "
                f"predicted {now:.4g} ms instead of {was:.4g} ms"
            )
        return widths, tuple(notices)
    step = align or ALIGN
    widths = {group.name: _aligned(group, exact[group.name], step) for group in channels.prunable}
    if wider := _differing(widths, exact):
        notices.append(f"{few(wider)}: wider than this share, up to a multiple of {step} channels")
    return widths, (*notices, *odd_widths(channels, widths, predictor))


def odd_widths(
    channels: ChannelMap, widths: Mapping[str, int], predictor: "Predictor | None"
) -> tuple[str, ...]:
    """Say what widths cost that kernels are not made for: no line, or one.

    Args:
        channels: the groups.
        widths: by prunable group; those that are not named keep all their channels.
        predictor: of the cost table; None without one.
    """
    if predictor is not None:
        from decig.device.plan.edges import to_stair_edges

        better = to_stair_edges(predictor, widths)
        was, now = (predictor.predict_ms(each) for each in (widths, better))
        wider = _differing(better, widths)
        added = sum(better[name] - widths[name] for name in wider)
        text = (
            f"{few(wider)}: {added} more channels there would take no longer, as these widths lie "
            f"inside the device's stairs (predicted {was:.4g} ms now, {now:.4g} ms with them)"
        )
        return (text,) if wider else ()
    odd = {
        group.name: width
        for group in channels.prunable
        if (width := widths.get(group.name, group.channels)) < group.channels
        and width * group.copies % ALIGN
    }
    shown = few([f"{name} ({width})" for name, width in odd.items()])
    text = (
        f"{shown}: no multiple of {ALIGN} channels; kernels compute channels in blocks of {ALIGN} "
        "and more, so these may take as long as the next multiple, or as the whole group"
    )
    return (text,) if odd else ()


def few(names: list[str]) -> str:
    """Name the first groups, and count the rest."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _at_floor(channels: ChannelMap, ratio: float) -> list[str]:
    """Say which groups keep more than a share of their channels: no line, or one."""
    groups = [
        group.name
        for group in channels.prunable
        if math.ceil(group.channels * ratio - 1e-9) < floor_of(group)
    ]
    why = f"no share of the channels leaves a group fewer than {FLOOR} (a plan can)"
    return [f"{few(groups)}: {why}"] if groups else []


def _aligned(group: Group, width: int, align: int) -> int:
    """Least width from `width` on at which the group's tensor has a multiple of `align` channels.

    All of the group where there is none.
    """
    step = align // math.gcd(align, group.copies)
    return min(group.channels, math.ceil(width / step) * step)


def _differing(widths: Mapping[str, int], others: Mapping[str, int]) -> list[str]:
    """Groups of which one width is not the other."""
    return [name for name, width in widths.items() if width != others[name]]
