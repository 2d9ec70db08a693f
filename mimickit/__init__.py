"""MimicKit: physics characters that learn to move from motion-capture clips."""

import os

__version__ = "0.1.0"

# Idle OpenMP threads must sleep: spinning, they would keep MuJoCo's threads off the cores. torch reads this when it is
# loaded, and every way into the package passes here before that.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
