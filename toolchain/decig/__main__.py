"""Makes `python -m decig` the program `decig`."""

from decig.cli.main import main

main()
