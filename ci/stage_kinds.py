"""The stages a case goes through, and what their processes find in their environment."""

from collections.abc import Mapping

STAGES = ("train", "test", "viz")
LONG_STAGES = ("train", "long", "test", "viz")  # the first training is a probe, the second the real one
TRAININGS = ("train", "long")

# NCCL over sockets: slower, and it works on every machine the matrix meets.
_TRAINING = {
    "NCCL_P2P_DISABLE": "1",
    "NCCL_IB_DISABLE": "1",
    "NCCL_CUMEM_ENABLE": "0",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
}
# What Mesa's software renderer must claim for the viewer to accept it.
_DRAWING = {"MESA_GL_VERSION_OVERRIDE": "3.3", "MESA_GLSL_VERSION_OVERRIDE": "330"}

ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {"train": _TRAINING, "long": _TRAINING, "test": {}, "viz": _DRAWING}
