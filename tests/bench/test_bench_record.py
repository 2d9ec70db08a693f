"""The record of the GPU benchmark: what was not run, merging, and what it looks like."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mimickit.bench import gpu, machine, pi_plus
from mimickit.bench.__main__ import main as bench_command
from mimickit.bench.figures import Figure
from mimickit.bench.gpu import PARTS, GpuOptions, chosen, run_gpu, run_parts
from mimickit.bench.machine import Gpu, gpus_of, require_gpus, short_name
from mimickit.bench.part import Options
from mimickit.bench.programs import ProgramError
from mimickit.bench.record import NOT_ASKED_FOR, conclusion, markdown, merge, print_record, read_record, write_record
from mimickit.errors import InputError

NAMES = gpu.listed([])
QUIET = Console(quiet=True)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_gpus(new_bench):
    return new_bench(lambda *_: 0).machine


@pytest.fixture
def archive(tmp_path):
    """An unpacked archive with Pi Plus, as far as it is looked at."""
    (tmp_path / "archive" / pi_plus.CHARACTER / "meshes").mkdir(parents=True)
    (tmp_path / "archive" / pi_plus.CLIP).parent.mkdir(parents=True)
    (tmp_path / "archive" / pi_plus.CLIP).touch()
    return str(tmp_path / "archive")


def options_of(folder, *parts, merge=(), shared=False):
    return GpuOptions(parts, folder / "gpu.json", tuple(merge), shared, Options())


def printed(parts, width=200):
    console = Console(record=True, width=width, file=io.StringIO())
    print_record(parts, gpu.listed(parts), console)
    return console.export_text()


def test_what_was_not_run_is_listed_everywhere(here, new_part):
    part = new_part()
    part.figures.append(Figure("two over one", "x", [1.9], at_least=1.85))
    part.leave_out("4 devices against one", "2 GPUs here")
    parts = {"devices:ratios": part}
    write_record(here / "gpu.json", parts, NAMES)
    content = json.loads((here / "gpu.json").read_text())
    assert content["ok"]
    assert content["parts"]["devices:ratios"]["not_run"] == [{"what": "4 devices against one", "reason": "2 GPUs here"}]
    assert content["not_run"] == {name: NOT_ASKED_FOR for name in NAMES if name != "devices:ratios"}
    document = (here / "gpu.md").read_text()
    assert "| 4 devices against one: 2 GPUs here |  |  |  |  |  | not run |" in document
    assert document.count(f"Not run: {NOT_ASKED_FOR}.") == len(NAMES) - 1
    table = printed(parts)
    assert "4 devices against one: 2 GPUs here" in table
    assert table.count("not asked for") == len(NAMES) - 1
    assert table.count("not run") == len(NAMES)


def test_the_document_says_on_what_and_how_it_was_measured(new_part):
    part = new_part()
    part.commands.append("python mimickit/run.py --devices cuda:0")
    part.shared = True
    part.curves["go2 seed 1"] = {"Samples": [131072.0, 3e7], "Wall_Time": [0.001, 0.05], "Test_Return": [4.7, 250.0]}
    text = "\n".join(markdown({"learning": part}, {"learning": ""}))
    assert "2026-01-01 12:00; 2 x NVIDIA H100 80GB HBM3, driver 570.1; torch 2.11.0, newton 1.8.0; " in text
    assert "commit abcdef012345; other programs used the GPU." in text
    assert "\npython -m mimickit.bench --gpu\n#   python mimickit/run.py --devices cuda:0\n" in text
    assert "| samples | 0.1M | 30.0M |\n|---|---|---|\n| wall s | 4 | 180 |\n| test return | 4.7 | 250 |" in text


def test_a_record_comes_back(here, new_part):
    part = new_part()
    part.figures.append(Figure("speed", "samples/s", [1.0, 2.0], at_least=3.0))
    part.fail("training", "exit code 6", "diverged")
    part.notes.append("a note")
    part.curves["a"] = {"Samples": [1.0]}
    write_record(here / "gpu.json", {"speed": part}, NAMES)
    assert read_record(here / "gpu.json") == {"speed": part}


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2, "parts": {}}', '{"format": 1, "parts": {"speed": {}}}'])
def test_what_is_no_record_is_refused(here, text):
    (here / "old.json").write_text(text)
    with pytest.raises(InputError, match=r"--merge .*old\.json: not a record"):
        read_record(here / "old.json")
    with pytest.raises(InputError, match="No such file"):
        read_record(here / "absent.json")


def test_parts_of_several_runs_come_together_and_the_last_one_counts(here, new_part, two_gpus):
    old, older = new_part(), new_part()
    old.date, older.date = "2026-01-02 10:00", "2026-01-01 10:00"
    old.figures.append(Figure("speed", "x", [1.0], at_least=2.0))
    assert merge([{"speed": older, "kernels": older}, {"speed": old}]) == {"speed": old, "kernels": older}
    write_record(here / "older.json", {"speed": older, "kernels": older}, NAMES)
    write_record(here / "old.json", {"speed": old, "matrix:films": old}, NAMES)
    code = run_gpu(options_of(here, merge=[here / "older.json", here / "old.json"]), QUIET)
    found = read_record(here / "gpu.json")
    assert {name: part.date for name, part in found.items()} == {
        "kernels": "2026-01-01 10:00",
        "speed": "2026-01-02 10:00",
        "matrix:films": "2026-01-02 10:00",
    }
    assert code == 1  # a bound that another run missed
    assert list(json.loads((here / "gpu.json").read_text())["parts"]) == ["kernels", "speed", "matrix:films"]


def test_a_part_in_which_nothing_was_measured_is_not_good(new_part):
    part = new_part()
    part.leave_out("2 devices against one", "1 GPUs here")
    assert not part.ok
    assert conclusion({"devices:ratios": part}).endswith("devices:ratios; nothing was measured in devices:ratios")
    part.figures.append(Figure("1 devices, training", "samples/s", [2.0]))
    assert part.ok
    assert conclusion({"devices:ratios": part}) == "all bounds are met: devices:ratios"


def test_a_part_that_is_run_again_replaces_the_merged_one(here, new_part, two_gpus, monkeypatch):
    old = new_part()
    old.figures.append(Figure("speed", "x", [1.0], at_least=2.0))
    other = new_part()
    other.figures.append(Figure("compile", "s", [95.0]))
    write_record(here / "old.json", {"speed": old, "kernels": other}, NAMES)
    measured = Figure("speed", "x", [3.0], at_least=2.0)
    monkeypatch.setitem(PARTS, "speed", lambda bench, part: part.figures.append(measured))
    options = options_of(here, "speed", merge=[here / "old.json"])
    assert run_gpu(options, QUIET, lambda *_: two_gpus) == 0
    found = read_record(here / "gpu.json")
    assert found["speed"].figures == [measured]
    assert found["kernels"].date == "2026-01-01 12:00"


@pytest.mark.parametrize(
    ("figures", "error", "code"),
    [
        ([Figure("a", "x", [1.0], at_least=1.0)], None, 0),
        ([Figure("a", "x", [1.0], at_least=2.0)], None, 1),
        ([], ProgramError("case", "exit code 3", "out of memory"), 1),
    ],
)
def test_the_exit_code_is_the_verdict(here, two_gpus, monkeypatch, figures, error, code):
    def measure(bench, part):
        part.figures += figures
        if error:
            raise error

    monkeypatch.setitem(PARTS, "kernels", measure)
    assert run_gpu(options_of(here, "kernels"), QUIET, lambda *_: two_gpus) == code
    part = read_record(here / "gpu.json")["kernels"]
    assert [failure["tail"] for failure in part.failures] == (["out of memory"] if error else [])
    assert part.seconds is not None


def test_what_was_measured_before_the_end_is_kept(here, two_gpus):
    figure = Figure("a", "x", [1.0])

    def broken(bench, part):
        part.figures.append(figure)
        raise SystemExit(143)

    parts = {}
    measures = {"kernels": lambda bench, part: part.figures.append(figure), "speed": broken, "learning": broken}
    with pytest.raises(SystemExit):
        run_parts(options_of(here), tuple(measures), two_gpus, parts, QUIET, measures=measures)
    found = read_record(here / "gpu.json")
    assert list(found) == ["kernels", "speed"]
    assert found["kernels"].ok
    assert found["speed"].figures == [figure]
    assert not found["speed"].ok  # it did not come to its end
    assert "did not come to its end" in printed(found)


def test_term_ends_the_programs_and_leaves_the_record(here):
    code = """
import os, signal, sys, threading, time
from pathlib import Path
from rich.console import Console
from mimickit.bench import gpu
from mimickit.bench.figures import Figure
from mimickit.bench.machine import Machine
from mimickit.bench.part import Options

def measure(bench, part):
    part.figures.append(Figure("a", "x", [1.0]))
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    bench.programs.run("long", [sys.executable, "-c", "import time; time.sleep(60)"], 60.0)

options = gpu.GpuOptions((), Path("gpu.json"), (), False, Options())
gpu.run_parts(options, ("speed",), Machine((), {}, "", False), {}, Console(), measures={"speed": measure})
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, env=environment)
    assert ended.returncode == 128 + signal.SIGTERM
    assert [figure.name for figure in read_record(here / "gpu.json")["speed"].figures] == ["a"]


def test_parts_are_known_and_named_once(here):
    with pytest.raises(InputError, match="no part is called sped; there are kernels, checks"):
        run_gpu(options_of(here, "sped"), QUIET)
    with pytest.raises(InputError, match="named twice"):
        run_gpu(options_of(here, "speed", "speed"), QUIET)
    with pytest.raises(InputError, match="nothing to show"):
        run_gpu(options_of(here), QUIET)


def test_without_a_gpu_nothing_is_measured(here, monkeypatch):
    monkeypatch.setattr(machine, "PROBE", "print('[]')")
    with pytest.raises(InputError, match="no CUDA device"):
        run_gpu(options_of(here, "speed"), QUIET)
    assert not (here / "gpu.json").exists()


def test_a_gpu_that_others_use_is_measured_only_on_request():
    free, busy = Gpu("A", 80.0, 0.9, "1"), Gpu("B", 80.0, 1.1, "1")
    require_gpus([free], shared=False)
    require_gpus([free, busy], shared=True)
    with pytest.raises(InputError, match=r"cuda:1 \(1\.1 GB\).*--shared-gpu"):
        require_gpus([free, busy], shared=False)


@pytest.mark.parametrize(("allowed", "used", "recorded"), [(True, 5.0, True), (True, 0.1, False), (False, 0.1, False)])
def test_the_record_says_when_a_gpu_was_shared(here, allowed, used, recorded, monkeypatch):
    found = machine.Machine((Gpu("A", 80.0, used, "1"),), {}, "c", False)
    monkeypatch.setitem(PARTS, "kernels", lambda bench, part: None)
    run_gpu(options_of(here, "kernels", shared=allowed), QUIET, lambda *_: found)
    assert read_record(here / "gpu.json")["kernels"].shared == recorded


def test_gpus_are_those_of_torch_in_its_order_with_what_the_driver_says():
    probe = '[{"name": "B", "uuid": "22", "memory_gb": 80}, {"name": "A", "uuid": "GPU-11", "memory_gb": 40}]\n'
    said = "GPU-11, 1000, 570.1\nGPU-22, 0, 570.1\n"
    assert gpus_of(probe, lambda: said) == (Gpu("B", 80, 0.0, "570.1"), Gpu("A", 40, 1.048576, "570.1"))
    with pytest.raises(InputError, match="does not list A"):
        gpus_of(probe, lambda: "GPU-22, 0, 570.1\n")


def test_short_names_are_for_files():
    names = [short_name(name) for name in ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "Tesla V100-SXM2-16GB")]
    assert names == ["h100", "h200", "tesla"]


def test_every_part_and_every_step_can_be_named():
    names = tuple(gpu.all_measures())
    assert tuple(name for name in names if ":" not in name) == ("kernels", "checks", "speed", "learning")
    assert {
        "speed:deepmimic_humanoid_ppo_4096",
        "learning:go2_pace",
        "devices:same_return",
        "matrix:every_case",
    } <= set(names)
    assert set(gpu.DEFAULT_PARTS) <= set(PARTS)
    gpu.require_known((*PARTS,))
    gpu.require_known(("all",))
    with pytest.raises(InputError, match="named twice"):
        gpu.require_known(("all", "speed"))
    with pytest.raises(InputError, match="named twice"):
        gpu.require_known(("learning:go2_pace", "learning"))


DEVICES = ("devices:ratios", "devices:same_return", "devices:killed")
MATRIX = tuple(f"matrix:{step}" for step in gpu.STEPS["matrix"])


def test_steps_that_were_not_run_are_listed_where_some_were():
    assert tuple(NAMES) == ("kernels", "checks", "speed", "learning", *DEVICES, *MATRIX)
    assert set(NAMES.values()) == {NOT_ASKED_FOR}
    assert tuple(gpu.listed(["devices:ratios"])) == tuple(NAMES)
    pace = tuple(gpu.listed(["learning:go2_pace"]))
    assert pace[3:6] == ("learning:amp_humanoid", "learning:humanoid_spinkick", "learning:go2_pace")
    assert tuple(gpu.listed(["learning", "learning:go2_pace"]))[3:5] == ("learning", "learning:go2_pace")


def test_all_is_what_this_machine_has_the_gpus_for(archive):
    assert chosen(("all",), 2, [archive]) == (tuple(NAMES), {})
    names, left_out = chosen(("all",), 1, ["ours"])
    assert names == ("kernels", "checks", "speed", "learning", *(step for step in MATRIX if step != gpu.MESHES))
    meshes = left_out.pop(gpu.MESHES)
    assert meshes.startswith("it needs --data DIR")
    assert left_out == dict.fromkeys(DEVICES, "it needs 2 GPUs, here is 1")
    assert gpu.listed(names, left_out)["devices:killed"] == "it needs 2 GPUs, here is 1"
    assert chosen(("matrix",), 1, ["ours"])[1] == {gpu.MESHES: meshes}


def test_what_is_asked_for_by_its_name_and_cannot_be_run_is_an_error(archive):
    assert chosen(("matrix", "learning:go2_pace"), 1, [archive]) == ((*MATRIX, "learning:go2_pace"), {})
    for name in ("devices", "devices:killed"):
        with pytest.raises(InputError, match=f"--parts {name}: it needs 2 GPUs, here is 1"):
            chosen(("speed", name), 1, [archive])
    with pytest.raises(InputError, match=f"--parts {gpu.MESHES}: it needs --data DIR"):
        chosen(("speed", gpu.MESHES), 1, ["ours", "absent"])


def test_the_last_line_says_what_is_not_good(new_part):
    good, bad = new_part(), new_part()
    good.figures.append(Figure("speed", "x", [1.0], at_least=1.0))
    bad.figures += [Figure("speed of a case with a long name", "x", [1.0], at_least=2.0)]
    bad.figures += [Figure(name, "s", [1.0]) for name in ("a", "b")]
    bad.fail("a thing", "exit code 3")
    assert printed({"kernels": good}).splitlines()[-1] == "all bounds are met: kernels"
    text = printed({"kernels": good, "speed": bad, "checks": bad}, width=80)
    assert text.splitlines()[-1] == "2 bounds missed, 2 failures: speed, checks"
    assert "\u2026" not in text  # nothing is cut, on a narrow terminal either


def test_variables_that_a_part_sets_hold_for_the_parts_after_it(here, two_gpus):
    def first(bench, part):
        bench.environment["MIMICKIT_TEST_KERNELS"] = "a cache"
        part.figures.append(Figure("a", "x", [1.0]))

    def second(bench, part):
        code = "import os; print(os.environ['MIMICKIT_TEST_KERNELS'])"
        part.notes.append(bench.programs.run("look", [sys.executable, "-c", code], 60.0).require().log.read_text())
        part.figures.append(Figure("a", "x", [1.0]))

    parts, measures = {}, {"kernels": first, "speed": second}
    run_parts(options_of(here), tuple(measures), two_gpus, parts, QUIET, measures=measures)
    assert parts["speed"].notes == ["a cache\n"]
    assert "MIMICKIT_TEST_KERNELS" not in os.environ


def test_steps_of_several_runs_come_together(here, two_gpus, monkeypatch):
    figure = Figure("a", "x", [1.0])
    for step in ("ratios", "same_return"):
        monkeypatch.setitem(gpu.STEPS["devices"], step, lambda bench, part: part.figures.append(figure))
    run_gpu(options_of(here, "devices:ratios"), QUIET, lambda *_: two_gpus)
    assert "## devices:same_return\n\nNot run" in (here / "gpu.md").read_text()
    (here / "gpu.json").rename(here / "old.json")
    run_gpu(options_of(here, "devices:same_return", merge=[here / "old.json"]), QUIET, lambda *_: two_gpus)
    assert set(read_record(here / "gpu.json")) == {"devices:ratios", "devices:same_return"}
    assert "devices" not in json.loads((here / "gpu.json").read_text())["not_run"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpu", "--num-envs", "4", "--skip-e2e"], "--num-envs, --skip-e2e: only without --gpu"),
        (["--parts", "speed"], "--parts: only with --gpu"),
    ],
)
def test_options_of_the_other_benchmark_are_refused(capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        bench_command(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
