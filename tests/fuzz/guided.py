"""Let atheris look for damaged files that a loader answers with anything but one line.

    pip install atheris==3.0.0
    python -m tests.fuzz.guided LOADER [FOLDER] [options of libFuzzer, such as -max_total_time=600]

LOADER is a key of `tests.fuzz.loaders.LOADERS`. Files that reach new lines of decig's code are kept
in FOLDER (default build/fuzz/LOADER), and a later call begins with them. Whatever a loader raises
beside a `DecigError` ends the search with a traceback and the file that raised it.
"""

import logging
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["decig"]):
    from decig.errors import DecigError

from tests.fuzz.loaders import LOADERS


def main() -> None:
    """Search until libFuzzer's limits are reached or something is found."""
    name, *options = sys.argv[1:]
    loader = LOADERS[name]
    folders = [option for option in options if not option.startswith("-")]
    corpus = Path(folders[0] if folders else f"build/fuzz/{name.replace(' ', '-')}")
    scratch = corpus.parent / f"{corpus.name}-scratch"
    for folder in (corpus, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    suffixes = []
    for number, (suffix, data) in enumerate(loader.whole(scratch)):
        (corpus / f"whole-{number}").write_bytes(data)
        suffixes.append(suffix)
    files = {suffix: scratch / f"recipe{suffix}" for suffix in dict.fromkeys(suffixes)}
    logging.disable()
    warnings.simplefilter("error")

    def load(data: bytes) -> None:
        for file in files.values():
            file.write_bytes(data)
            try:
                loader.load(file)
            except DecigError as error:
                if "\n" in str(error):
                    raise

    atheris.Setup([sys.argv[0], str(corpus), *(o for o in options if o.startswith("-"))], load)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
