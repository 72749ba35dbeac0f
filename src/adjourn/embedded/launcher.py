"""Starts the supervisor in a bare interpreter: ``python -I -S launcher.py``.

The supervisor has to start within milliseconds, and runs as long as the server. Importing the real packages `adjourn`
and `adjourn.embedded` would load all dependencies, which takes time and memory, so this registers empty modules
instead.
"""

import sys
import types
from pathlib import Path


def main() -> None:
    """Register the empty packages, and start the supervisor."""
    here = Path(__file__).resolve().parent
    for name, directory in (("adjourn", here.parent), ("adjourn.embedded", here)):
        package = types.ModuleType(name)
        package.__path__ = [str(directory)]
        sys.modules[name] = package

    from adjourn.embedded import supervisor

    supervisor.main()


if __name__ == "__main__":
    main()
