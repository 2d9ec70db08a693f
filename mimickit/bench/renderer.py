"""Say what draws here: ``python -m mimickit.bench.renderer`` prints the OpenGL renderer, vendor and version as JSON.

In a process of its own, with the environment of the test that is filmed: which driver EGL takes depends on that.
"""

import json
import sys

from mimickit.errors import classify, tell
from mimickit.render.display import open_viewer

SIZE = (64, 64)  # pixels


def main() -> int:
    """The command; returns an exit code of ``mimickit/errors.py``."""
    try:
        viewer = open_viewer(*SIZE, on_screen=False)
        from pyglet.gl import gl_info  # only after `open_viewer` has chosen between EGL and X

        found = {
            "renderer": gl_info.get_renderer(),
            "vendor": gl_info.get_vendor(),
            "version": gl_info.get_version_string(),
        }
        viewer.close()
    except Exception as error:
        return tell(classify(error))[1]
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
