"""``python -m adjourn`` is the command ``adjourn``."""

import sys

from adjourn.cli import main

sys.exit(main())
