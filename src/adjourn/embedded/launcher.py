"""Starts the supervisor in a bare interpreter: ``python -I -S launcher.py``.

Nothing of the package around it is imported, because that would take the time and the memory of all its dependencies,
for a process that has to be there within milliseconds and stays as long as the server. So the packages above it are
put in place empty.
"""

import sys
import types
from pathlib import Path


def main() -> None:
    """Put the packages in place, and start."""
    here = Path(__file__).resolve().parent
    for name, directory in (("adjourn", here.parent), ("adjourn.embedded", here)):
        package = types.ModuleType(name)
        package.__path__ = [str(directory)]
        sys.modules[name] = package

    from adjourn.embedded import supervisor

    supervisor.main()


if __name__ == "__main__":
    main()
