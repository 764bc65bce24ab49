"""What all benchmarks that are run as python -m benchmarks.NAME have in common."""

import sys
from collections.abc import Callable, Sequence

from fkd.errors import UserError
from fkd.terminal import say


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the words of the command line; what the user did wrong is one line, with exit status 2."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        say(str(error))
        sys.exit(2)
