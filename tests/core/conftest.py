"""Lets the tests of the core import the oracles and problems that stand beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
