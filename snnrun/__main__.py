"""``python -m snnrun`` is the command ``snnrun``."""

import sys

from snnrun.cli import entry

sys.exit(entry())
