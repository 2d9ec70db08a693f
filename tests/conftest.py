"""Settings every test needs before torch is imported."""

import os

# As mimickit/run.py: idle OpenMP threads sleep instead of keeping MuJoCo's threads off the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
