"""The stage of the image that compiles kernels has all that it imports and reads, and nothing needs the rest."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_kernels_of_every_environment_can_be_compiled_with_what_is_copied(tmp_path: Path) -> None:
    text = (REPOSITORY / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    stage = text.partition(" AS kernels\n")[2].partition("\nFROM ")[0]
    copies = [line.split()[1:] for line in stage.splitlines() if line.startswith("COPY ")]
    assert len(copies) > 5
    for *sources, target in copies:
        for source in sources:
            place = tmp_path / target / Path(source).name if target.endswith("/") else tmp_path / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / source).is_dir():
                shutil.copytree(REPOSITORY / source, place)
            else:
                shutil.copyfile(REPOSITORY / source, place)
    code = "import mimickit; from mimickit import kernels; print(mimickit.__file__); print(len(kernels.scenes()))"
    (command,) = re.findall(r"^RUN python -m (\S+) ", stage, re.MULTILINE)
    assert command == "mimickit.kernels"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    place, count = done.stdout.splitlines()[-2:]
    assert Path(place) == tmp_path / "mimickit" / "__init__.py"
    assert int(count) > 5
