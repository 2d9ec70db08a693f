"""What the environment has warp do; each in a process of its own, as warp's settings are those of a process."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import warp
from mimickit.warp_settings import apply_warp_settings
before = warp.config.cpu_compiler_flags
apply_warp_settings()
print(repr(warp.config.cpu_compiler_flags), warp.config.cpu_compiler_flags == before)
"""


@pytest.mark.parametrize(("flags", "printed"), [(None, "True"), ("", "'' False"), ("-O1", "'-O1' False")])
def test_flags_come_from_the_environment_or_stay(flags: str | None, printed: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "MIMICKIT_WARP_CPU_FLAGS"}
    if flags is not None:
        environment["MIMICKIT_WARP_CPU_FLAGS"] = flags
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(printed)
