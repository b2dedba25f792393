"""``python -m snnrun`` is the command ``snnrun``."""

import sys

from snnrun.cli import main

sys.exit(main())
