"""What this project has warp do otherwise than by default."""

import os

import warp

CPU_FLAGS = "MIMICKIT_WARP_CPU_FLAGS"


def apply_warp_settings() -> None:
    """Have warp compile as the environment says, and say nothing on starting; to be called before it does either.

    ``MIMICKIT_WARP_CPU_FLAGS`` replaces the flags with which warp compiles for a CPU. Its own are for exactly the CPU
    that it runs on; empty ones are for any of the architecture, so that kernels in an image serve wherever it is run.
    The flags are part of the name under which a kernel is kept (warp.config.cpu_compiler_flags).
    """
    warp.config.log_level = warp.LOG_WARNING
    flags = os.environ.get(CPU_FLAGS)
    if flags is not None:
        warp.config.cpu_compiler_flags = flags
