"""docs/settings.md, every key of the file of settings and of [train] in a recipe, from the schemas.

What a key means is said by the docstring of its record (`tests.docs.schemas`).
"""

import json
import re
import sys
from typing import Any

from tests.docs.commands import table
from tests.docs.schemas import Schema, schemas

PAGE = "docs/settings.md"

_HEAD = """\
# Settings

This page is made from the code (`make reference`), so it lists every key that there is. It has
two parts: [the file of settings](#the-file-of-settings) for `decig compress`, and [the table
`[train]` of a recipe](#training-an-original) for `decig train`. Give those keys alone that you
want to change. An unknown key, or a value out of its range, is an error that names it.

## The file of settings

For `decig compress --config FILE`. The tables `[train]` and `[distil]` count for every method,
and each method has a table of its own; those of other methods may stand there, and do not count.
A table `[options]` may hold the [options of the command](commands.md#decig-compress) themselves,
by their names with underscores. [File formats](formats.md#the-file-of-settings) shows examples.
"""

_SETTINGS = {
    "train": "How the small model is trained, whatever is learnt and by whichever method.",
    "distil": """\
What the student, the small model, learns from its teacher, the original. The **output loss**
compares their pictures: the mean difference of pixels has the weight 1, and the terms for colour
(`chroma`), edges (`gradient`) and structure (SSIM) are added to it. The keys from `features` to
`imitation` are the weights of further losses; at 0 a loss is left out.
[Compressing](guides/compress.md#real-pictures) says when a discriminator takes part.""",
    "decig": """\
Of `--method decig`, the default: stage I, which condenses before the cut, and the folding of
norms in stage II, which `--fold-norms` asks for. f(j) and I(i) belong to the penalty of stage I;
the [design](design.md#training) has its formula.""",
    "hypernet": """\
Of `--method hypernet`: every channel has a latent number, and these shrink until the target is
met.""",
    "supernet": """\
Of `--method supernet`: networks of many widths are trained together, sharing their weights, and the
best of them is searched for. What `train` and `search` leave of the budget trains the one that was
found.""",
}
"""What stands above the keys of each table, in the order of the page."""

_RECIPES = """\
## Training an original

For `decig train`: keys of the table `[train]` in a `recipe.toml`.
[models/](../models/README.md#training) shows some at work. `task` says what is learnt:
`"paired"`, `"unpaired"`, `"label_map"`, or a module of yours. The keys of the first table are
there for all three tasks, and those of the task's own table beside them.
"""

_TASKS = {
    "paired": "After pix2pix; also where no `task` is given.",
    "unpaired": "After CycleGAN.",
    "label_map": "After GauGAN.",
}

_PARTS = {
    "Stage": (
        "[[train.stages]]",
        """\
Stretches of training, one after the other, each as long as its `steps` or its `epochs` say; one
of the two must be given. Without any stage, training is that of the authors: 200 epochs of one
crop per step, as large as the model's input, from images that are a little larger.""",
    ),
    "Data": ("[train.data]", "Where the data set is; `--data` and `--direction` go before it."),
    "Condensing": (
        "[train.condense]",
        """\
How `decig train` condenses a generator on the way, by the method decig. It counts with
`--profile` or `--target-macs` only.""",
    ),
    "Latents": (
        "[train.hypernet]",
        "How `decig train --method hypernet` takes channels away; it needs a target.",
    ),
}
"""Tables inside [train], by their records: how they are written, and what stands above them."""

_IN_CODE = re.compile(r"[;.] (?:[Ss]ee )?`decig\.[\w.]+`[^.;]*")
"""The end of a description that sends readers of the code to a module."""
_LARGEST = 2**63 - 1


def page() -> str:
    """The whole page, in Markdown."""
    made = schemas()
    settings, recipe = made["settings"]["$defs"], made["recipe"]["$defs"]
    parts = [_HEAD]
    assert {f"{name}.Settings" for name in _SETTINGS} == settings.keys()
    parts += [
        _section(f"`[{n}]`", text, settings[f"{n}.Settings"]) for n, text in _SETTINGS.items()
    ]
    tasks = {name: recipe[f"train.{name}.Settings"]["properties"] for name in _TASKS}
    shared = [key for key in tasks["paired"] if all(key in keys for keys in tasks.values())]
    own = {"learning_rate", "discriminator_width"}  # each task has its own defaults and meanings
    common = {key: tasks["paired"][key] for key in shared if key not in own}
    parts += [f"\n{_RECIPES}\n{_keys(common)}"]
    for name, text in _TASKS.items():
        keys = {key: part for key, part in tasks[name].items() if key not in common}
        parts.append(_section(f"Task `{name}`", text, {"properties": keys}))
    for record, (title, text) in _PARTS.items():
        parts.append(_section(f"`{title}`", text, recipe[f"train.paired.{record}"]))
    return "".join(parts)


def _section(title: str, text: str, record: Schema) -> str:
    return f"\n### {title}\n\n{text}\n\n{_keys(record['properties'])}"


def _keys(properties: dict[str, Schema]) -> str:
    """The table of the keys that are no tables themselves."""
    plain = {key: part for key, part in properties.items() if "#/$defs/" not in json.dumps(part)}
    rows = [
        (f"`{key}`", _default(part), _values(part), _IN_CODE.sub("", part["description"]))
        for key, part in plain.items()
    ]
    return table(("key", "default", "values", "meaning"), rows)


def _default(part: Schema) -> str:
    if "default" not in part:
        return "**must be given**"
    if part["default"] is None:
        return "none"
    return f"`{_toml(part['default'])}`"


def _toml(value: Any) -> str:
    """A value as it is written in TOML."""
    return json.dumps(value)


def _values(part: Schema) -> str:
    """Which values a key takes, in words."""
    if "anyOf" in part:
        kinds = [_values(kind) for kind in part["anyOf"] if kind.get("type") != "null"]
        return ", or ".join(kinds)
    if "enum" in part:
        return ", ".join(f"`{_toml(value)}`" for value in part["enum"])
    if part["type"] == "boolean":
        return "`true`, `false`"
    if part["type"] == "array":
        return f"a list of {_values(part['items'])}"
    if part["type"] == "string":
        return "text"
    return ("integer, " if part["type"] == "integer" else "") + _range(part)


def _range(part: Schema) -> str:
    least = f"{part['minimum']:g}" if "minimum" in part else f"above {part['exclusiveMinimum']:g}"
    if part.get("minimum") == sys.float_info.min:
        least = "above 0"
    if "exclusiveMaximum" in part:
        return f"{least} to below {part['exclusiveMaximum']:g}"
    if part.get("maximum", _LARGEST) == _LARGEST:
        return f"{least} or more"
    return f"{least} to {part['maximum']:g}"
