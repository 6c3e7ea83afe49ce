"""Write what is made from the code: docs/commands.md, docs/settings.md, toolchain/decig/formats.

python -m tests.docs.generate
"""

import json
from pathlib import Path

from tests.docs import commands, schemas, settings

ROOT = Path(__file__).resolve().parents[2]


def made() -> dict[Path, str]:
    """The text of every file that is made from the code, by its path."""
    found = {ROOT / each.PAGE: each.page() for each in (commands, settings)}
    for name, schema in schemas.schemas().items():
        file = ROOT / schemas.FOLDER / f"{name}.schema.json"
        found[file] = json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return found


def main() -> None:
    """Write all of them, and remove the schemas of formats that are gone."""
    texts = made()
    for file in sorted((ROOT / schemas.FOLDER).glob("*.schema.json")):
        if file not in texts:
            file.unlink()
    for file, text in texts.items():
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            print(file.relative_to(ROOT))


if __name__ == "__main__":
    main()
