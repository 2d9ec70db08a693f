"""Trainings that torchrun starts, as on two hosts: what they come to, and what they refuse."""

import hashlib
import json
from pathlib import Path
from typing import Any

from mimickit.learning.logger import read_log
from tests.run.programs import finish, log_without_time, start
from tests.run.torchrun_programs import finish_groups, start_groups

Case = Any  # of conftest


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "train_summary.json").read_text())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_groups_train_what_our_own_two_processes_do_and_either_goes_on_with_it(tiny_case: Case) -> None:
    own, groups = tiny_case.folder / "own", tiny_case.folder / "groups"
    both = tiny_case.arguments(out_dir=str(groups), max_samples="384", rand_seed=None)
    ends = finish_groups(start_groups([both, both], [tiny_case.folder] * 2))
    assert [end[0] for end in ends] == [0, 0], ends
    seed = str(summary(groups)["seed"])  # which the processes agreed on
    assert f"engine mujoco, device cpu cpu, seed {seed}" in ends[0][1]
    assert "trained 384 samples" in ends[0][1]
    assert ends[1][1] == ""  # only the first process speaks
    changes: dict[str, str | None] = {"devices": "cpu cpu", "max_samples": "384", "rand_seed": seed}
    assert finish(start(tiny_case, out_dir=str(own), **changes))[::2] == (0, "")
    assert log_without_time(groups) == log_without_time(own)
    assert digest(groups / "model.pt") == digest(own / "model.pt")
    found = summary(groups)
    assert (found["num_processes"], found["devices"], found["samples"]) == (2, ["cpu", "cpu"], 384)

    more = [words.replace("384", "640") for words in both] + ["--resume", "true"]
    ends = finish_groups(start_groups([more, more], [tiny_case.folder] * 2))
    assert [end[0] for end in ends] == [0, 0], ends
    changes |= {"max_samples": "640", "rand_seed": None, "resume": "true"}
    assert finish(start(tiny_case, out_dir=str(own), **changes))[::2] == (0, "")
    assert log_without_time(groups) == log_without_time(own)
    assert read_log(groups / "log.txt")["Samples"] == [128, 384, 640]
    # Own processes go on with what torchrun's have done, which for now is all there is to do.
    code, out, err = finish(start(tiny_case, out_dir=str(groups), **changes))
    assert (code, err) == (0, "")
    assert "already has 640 of 640 samples: nothing to do" in out


def refused(case: Case, arguments: list[list[str]], folders: list[Path] | None = None, processes: int = 1) -> list[str]:
    """What each torchrun's processes say, all of which end with bad input."""
    ends = finish_groups(start_groups(arguments, folders or [case.folder] * len(arguments), processes))
    for code, out, err in ends:
        assert code == 1, (out, err)
        assert "error (input): " in err, err
        assert "exitcode  : 2" in err
        assert out == ""
    return [err for _, _, err in ends]


def test_what_differs_between_hosts_is_named_by_all_before_anything_is_written(tiny_case: Case) -> None:
    one, other = tiny_case.arguments(), tiny_case.arguments(max_samples="256")
    for said in refused(tiny_case, [one, other]):
        assert "the processes were not started alike: --max_samples is 128 in process 0 on " in said
        assert ", and 256 in process 1 on " in said
    assert not tiny_case.out_dir.exists()

    # Files of one name with another content, as on hosts with disks of their own.
    folders = [tiny_case.folder / name for name in ("first", "second")]
    tiny_case.env["motion_file"] = "stand.pkl"
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "stand.pkl").write_bytes(tiny_case.clip.read_bytes())
        if number:
            frames = [[0.0, 0.0, 0.5, *[0.0] * 5]] * 21
            tiny_case.write_clip(frames)
            (folder / "stand.pkl").write_bytes(tiny_case.clip.read_bytes())
    for said in refused(tiny_case, [tiny_case.arguments()] * 2, folders):
        assert "the processes were not started alike: the content of stand.pkl is " in said
    assert not tiny_case.out_dir.exists()


def test_an_error_before_the_processes_meet_ends_them_all(tiny_case: Case) -> None:
    said = refused(tiny_case, [tiny_case.arguments(), [*tiny_case.arguments(), "--num_env", "8"]])
    assert all("unknown key '--num_env'" in text for text in said)
    assert "(process 1 on " in said[0]


def test_a_state_that_a_host_does_not_see_ends_them_all(tiny_case: Case) -> None:
    """Two hosts without a common folder: each process left its part on its own."""
    folders = [tiny_case.folder / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    words = tiny_case.arguments(out_dir="out")
    ends = finish_groups(start_groups([words, words], folders))
    assert [end[0] for end in ends] == [0, 0], ends
    assert all(path.name.startswith("train_state.rank1.") for path in (folders[1] / "out").iterdir())
    more = tiny_case.arguments(out_dir="out", max_samples="512", resume="true")
    for said in refused(tiny_case, [more, more], folders):
        assert "out/train_state.pt: no such file, so there is no training to resume" in said
        assert "(process 1 on " in said


def test_as_many_devices_as_processes_on_a_host(tiny_case: Case) -> None:
    (said,) = refused(tiny_case, [tiny_case.arguments()], processes=2)
    assert "--devices cpu: torchrun starts 2 of the processes on this host (--nproc_per_node), each" in said
    assert "a device of its own: --devices cpu cpu" in said
    (said,) = refused(tiny_case, [tiny_case.arguments(devices="cpu cpu", master_port="29511")], processes=2)
    assert "--master_port: torchrun brings the processes together" in said
    (said,) = refused(tiny_case, [tiny_case.arguments(devices="cpu cpu", mode="test", max_samples=None)], processes=2)
    assert "--mode test runs on one device, not on 2: cpu cpu" in said
    (said,) = refused(tiny_case, [tiny_case.arguments(devices="cpu cpu")])
    assert "--devices cpu cpu: torchrun starts 1 of the processes on this host" in said
    assert not tiny_case.out_dir.exists()
