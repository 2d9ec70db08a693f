"""Questions for another process: their answers need torch, OpenGL or the framework, and may crash or hang."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What this torch was built for, and whether it can multiply on every GPU it sees.
TORCH = """
import json, torch
devices = []
for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
    ones = torch.ones(64, 64, device=f"cuda:{index}")
    assert float((ones @ ones).sum()) == 64.0**3, f"cuda:{index} multiplies wrongly"
    devices.append(torch.cuda.get_device_name(index))
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices}))
"""

# Draw one frame as a rendering does, and say who drew it.
GL = """
import json
from mimickit.errors import RenderError
from mimickit.render.display import REMEDY, open_viewer
try:
    viewer = open_viewer(96, 64, on_screen=False)
    viewer.begin_frame(0.0)
    viewer.end_frame()
    frame = viewer.get_frame().numpy()
    from pyglet.gl import gl_info
    answer = {"shape": frame.shape, "levels": int(frame.max()) - int(frame.min()), "renderer": gl_info.get_renderer()}
except RenderError as error:
    answer = {"problem": str(error).replace(REMEDY, "").strip(), "remedy": REMEDY}
print(json.dumps(answer))
"""

# The clips each arg file needs: those that are not there, and those of them that no recipe builds.
CLIPS = """
import json, sys
from pathlib import Path
from mimickit.data.cases import clips_of_case
from mimickit.data.recipes import RECIPES
from mimickit.errors import InputError
buildable = {Path("data/motions") / recipe.clip for recipe in RECIPES.values()}
answer = {}
for name in sys.argv[1:]:
    try:
        clips = clips_of_case(Path(name))
    except InputError as error:
        answer[name] = {"problem": str(error), "clips": [], "missing": [], "unknown": []}
        continue
    missing = [clip for clip in clips if not clip.exists()]
    lists = {"clips": clips, "missing": missing, "unknown": [clip for clip in missing if clip not in buildable]}
    answer[name] = {"problem": None, **{key: [str(clip) for clip in value] for key, value in lists.items()}}
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Answer:
    """How a process ended: ``returncode`` is negative for a signal, None when its time was over; what it printed."""

    returncode: int | None
    output: str
    errors: str
    seconds: float

    @property
    def reason(self) -> str:
        """Its last words, for a process that did not succeed."""
        if self.returncode is None:
            return f"no answer within {self.seconds:.0f} s"
        said = [line.strip() for line in (self.errors.strip() or self.output.strip()).splitlines() if line.strip()]
        how = f"exit code {self.returncode}"
        if self.returncode < 0:
            how = f"ended by {signal.Signals(-self.returncode).name}"
        return f"{how}: {said[-1] if said else 'it said nothing'}"

    def json(self) -> dict[str, Any] | None:
        """The object on its last line of output; None when it failed or printed none."""
        lines = self.output.strip().splitlines()
        if self.returncode != 0 or not lines:
            return None
        try:
            value = json.loads(lines[-1])
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def ask(argv: Sequence[str], cwd: Path, timeout: float, environment: Mapping[str, str] | None = None) -> Answer:
    """Run ``argv`` to its end or for ``timeout`` seconds; then its whole process group is ended.

    OSError when it cannot be started.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return Answer(None, "", "", time.monotonic() - started)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return Answer(process.returncode, output, errors, time.monotonic() - started)
