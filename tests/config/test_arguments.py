"""The command line and arg files: precedence, types, and errors that name file, line, key and the nearest valid key."""

import dataclasses
import pickle
from pathlib import Path

import pytest

from mimickit.config.arguments import RunConfig, default_devices, format_help, parse_run_arguments, read_arg_file
from mimickit.config.document import COMMAND_LINE, DEFAULT, Source
from mimickit.errors import InputError

CASE = ["--arg_file", "args/deepmimic_humanoid_ppo_args.txt"]
WITHOUT_ARG_FILE = [
    "--engine_config",
    "data/engines/mujoco_engine.yaml",
    "--env_config",
    "data/envs/deepmimic_humanoid_env.yaml",
]
NEEDED = "--engine_config data/engines/mujoco_engine.yaml\n--env_config data/envs/deepmimic_humanoid_env.yaml\n"
KEYS = [
    "arg_file", "mode", "num_envs", "engine_config", "env_config", "agent_config", "devices", "visualize", "video",
    "out_dir", "model_file", "max_samples", "max_seconds", "resume", "save_state", "test_episodes", "logger",
    "rand_seed", "master_port", "save_int_models", "print_config",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_project(project: Path) -> None:
    pass


def failure(argv: list[str]) -> str:
    with pytest.raises(InputError) as caught:
        parse_run_arguments(argv)
    return str(caught.value)


def test_the_committed_arg_file() -> None:
    run = parse_run_arguments([*CASE, "--devices", "cpu"])
    assert run == RunConfig(
        arg_file=Path("args/deepmimic_humanoid_ppo_args.txt"),
        mode="train",
        num_envs=4096,
        engine_config=Path("data/engines/newton_engine.yaml"),
        env_config=Path("data/envs/deepmimic_humanoid_env.yaml"),
        agent_config=Path("data/agents/deepmimic_humanoid_ppo_agent.yaml"),
        devices=("cpu",),
        visualize=False,
        video=False,
        out_dir=Path("output"),
        model_file=None,
        max_samples=None,
        max_seconds=None,
        resume=False,
        test_episodes=None,
        logger="txt",
        rand_seed=None,
        master_port=None,
        save_int_models=False,
        save_state=True,
        print_config=False,
    )


def test_every_key_on_the_command_line(project: Path) -> None:
    (project / "model.pt").touch()
    line = (
        "--mode test --num_envs 7 --engine_config data/engines/mujoco_engine.yaml "
        "--env_config data/envs/deepmimic_humanoid_walk_env.yaml "
        "--agent_config data/agents/deepmimic_humanoid_ppo_agent.yaml --devices cuda:0 cuda:13 --visualize False "
        "--video TRUE --out_dir output/x --model_file model.pt --max_samples 2e6 --test_episodes 3 --logger tb "
        "--rand_seed 0 --master_port 29500 --save_int_models True --save_state False --print_config"
    )
    run = parse_run_arguments(line.split())
    assert run == RunConfig(
        mode="test",
        num_envs=7,
        engine_config=Path("data/engines/mujoco_engine.yaml"),
        env_config=Path("data/envs/deepmimic_humanoid_walk_env.yaml"),
        agent_config=Path("data/agents/deepmimic_humanoid_ppo_agent.yaml"),
        devices=("cuda:0", "cuda:13"),
        visualize=False,
        video=True,
        out_dir=Path("output/x"),
        model_file=Path("model.pt"),
        max_samples=2_000_000,
        test_episodes=3,
        logger="tb",
        rand_seed=0,
        master_port=29500,
        save_int_models=True,
        save_state=False,
        print_config=True,
    )
    assert all(type(getattr(run, key)) is int for key in ("num_envs", "max_samples", "rand_seed"))


def test_the_command_line_beats_the_arg_file_and_each_value_knows_its_source() -> None:
    run = parse_run_arguments(["--num_envs", "16", *CASE, "--devices", "cpu", "cpu"])
    assert run.num_envs == 16
    assert run.devices == ("cpu", "cpu")
    assert list(run.sources) == KEYS
    assert run.sources["num_envs"] == COMMAND_LINE
    assert run.sources["devices"] == COMMAND_LINE
    assert run.sources["engine_config"] == Source("args/deepmimic_humanoid_ppo_args.txt", 3)
    assert run.sources["mode"] == DEFAULT


def test_a_bad_value_in_the_arg_file_is_harmless_once_overridden(project: Path) -> None:
    (project / "a.txt").write_text(NEEDED + "--num_envs many\n")
    assert parse_run_arguments(["--arg_file", "a.txt", "--num_envs", "2"]).num_envs == 2


def test_defaults_without_an_arg_file() -> None:
    run = parse_run_arguments(WITHOUT_ARG_FILE)
    assert (run.mode, run.num_envs, run.visualize, run.video, run.logger) == ("train", 1, False, False, "txt")
    assert (run.arg_file, run.agent_config, run.model_file, run.out_dir) == (None, None, None, Path("output"))
    assert run.devices == default_devices()


def test_a_model_file_is_optional_in_test_mode() -> None:
    run = parse_run_arguments([*CASE, "--mode", "test"])
    assert run.model_file is None


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "tRuE"])
def test_true_in_any_case(word: str) -> None:
    assert parse_run_arguments([*CASE, "--mode", "test", "--visualize", word]).visualize is True


@pytest.mark.parametrize("word", ["false", "False", "FALSE"])
def test_false_in_any_case(word: str) -> None:
    assert parse_run_arguments([*CASE, "--visualize", word]).visualize is False


@pytest.mark.parametrize("word", ["maybe", "1", "0", "yes", "no", "on", "t", "null", "truee"])
def test_nothing_else_is_a_boolean(word: str) -> None:
    expected = f"command line: '--visualize' must be true or false, not '{word}'"
    assert failure([*CASE, "--visualize", word]) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--num_env 4", "unknown key '--num_env'; the nearest valid key is '--num_envs'"),
        ("--visualise true", "unknown key '--visualise'; the nearest valid key is '--visualize'"),
        ("--sources x", "unknown key '--sources'; the nearest valid key is '--resume'"),
        ("--num_envs many", "'--num_envs' must be a whole number, not 'many'"),
        ("--num_envs 1.5", "'--num_envs' must be a whole number, not '1.5'"),
        ("--num_envs 0", "'--num_envs' must be at least 1, not '0'"),
        ("--num_envs -4", "'--num_envs' must be at least 1, not '-4'"),
        ("--num_envs 1 2", "'--num_envs' takes one value (a whole number), not '1' '2'"),
        ("--num_envs", "'--num_envs' takes one value (a whole number), not none"),
        ("--num_envs=", "'--num_envs' must be a whole number, not ''"),
        ("--max_samples lots", "'--max_samples' must be a whole number, not 'lots'"),
        ("--max_samples nan", "'--max_samples' must be a whole number, not 'nan'"),
        ("--max_samples 0", "'--max_samples' must be at least 1, not '0'"),
        ("--max_seconds soon", "'--max_seconds' must be a number, not 'soon'"),
        ("--max_seconds 0", "'--max_seconds' must be more than 0, not '0'"),
        ("--max_seconds inf", "'--max_seconds' must be a number, not 'inf'"),
        ("--resume true --mode test", "'--resume' must be false with --mode test: only a training is resumed"),
        ("--test_episodes 0", "'--test_episodes' must be at least 1, not '0'"),
        ("--rand_seed -1", "'--rand_seed' must be between 0 and 4294967295, not '-1'"),
        ("--rand_seed 4294967296", "'--rand_seed' must be between 0 and 4294967295, not '4294967296'"),
        ("--master_port 70000", "'--master_port' must be between 1 and 65535, not '70000'"),
        ("--mode trian", "'--mode' must be one of train, test, not 'trian'; the nearest is 'train'"),
        ("--mode", "'--mode' takes one value (train | test), not none"),
        ("--logger csv", "'--logger' must be one of txt, tb, wandb, not 'csv'; the nearest is"),
        ("--devices gpu", "'--devices' must be 'cpu' or 'cuda:N' with a number N, for example 'cuda:0', not ['gpu']"),
        ("--devices cuda", "'--devices' must be 'cpu' or 'cuda:N'"),
        ("--devices cuda:x", "'--devices' must be 'cpu' or 'cuda:N'"),
        ("--devices cuda:0,cuda:1", "'--devices' must be 'cpu' or 'cuda:N'"),
        ("--devices cpu cuda:0", "'--devices' must be all of one kind, cpu or cuda, not ['cpu', 'cuda:0']"),
        ("--devices cuda:0 cuda:0", "'--devices' must be different CUDA devices"),
        ("--devices", "'--devices' takes at least one value (cpu or cuda:N), not none"),
        ("--out_dir=", "'--out_dir' must be a path, not ''"),
        ("--visualize true false", "'--visualize' takes one value (true or false), not 'true' 'false'"),
        ("--mode train --mode test", "'--mode' is given twice"),
        ("--engine_config data/engines/newtom_engine.yaml", "'--engine_config' must name a file: "
         "data/engines/newtom_engine.yaml does not exist; the nearest existing file is "
         "data/engines/newton_engine.yaml"),
        ("--env_config data/envs", "'--env_config' must name a file: data/envs is a folder, not a file"),
        ("--agent_config data/agent/x.yaml", "the nearest folder is data/agents"),
        ("--model_file data/engines/newton.pt", "'--model_file' must name a file: data/engines/newton.pt does not "
         "exist; the nearest existing file is data/engines/newton_engine.yaml"),
    ],
)  # fmt: skip
def test_a_bad_command_line(words: str, message: str) -> None:
    text = failure([*CASE, *words.split()])
    assert text.startswith("command line: ")
    assert message in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--num_env 4", "unknown key '--num_env'; the nearest valid key is '--num_envs'"),
        ("--visualize maybe", "'--visualize' must be true or false, not 'maybe'"),
        ("--visualize 1", "'--visualize' must be true or false, not '1'"),
        ("--num_envs 1e", "'--num_envs' must be a whole number, not '1e'"),
        ("--num_envs 0", "'--num_envs' must be at least 1, not '0'"),
        ("--mode tset", "'--mode' must be one of train, test, not 'tset'; the nearest is 'test'"),
        ("--devices cpu:0", "'--devices' must be 'cpu' or 'cuda:N'"),
        ("num_envs 4", "a line must begin with a --key, not 'num_envs'"),
        ("-num_envs 4", "a line must begin with a --key, not '-num_envs'"),
        ("--out_dir 'a b", "the quotation mark of 'a is not closed"),
        ("--env_config x.yaml", "'--env_config' is given twice; it is on line 2 already"),
        ("--arg_file other.txt", "'--arg_file' may be given on the command line only"),
        ("--model_file models/x.pt", "'--model_file' must name a file: models/x.pt does not exist; the folder models "
         "does not exist"),
        ("--agent_config data/agents/deepmimic_go_ppo_agent.yaml", "the nearest existing file is "
         "data/agents/deepmimic_go2_ppo_agent.yaml"),
        ("--out_dir a b", "'--out_dir' takes one value (a path), not 'a' 'b'"),
    ],
)  # fmt: skip
def test_a_bad_arg_file(project: Path, line: str, message: str) -> None:
    (project / "bad_args.txt").write_text(f"{NEEDED}\n# comment\n{line}\n")
    text = failure(["--arg_file", "bad_args.txt"])
    assert text.startswith("bad_args.txt:5: ")
    assert message in text
    assert len(text.splitlines()) == 1


def test_a_missing_arg_file_names_the_nearest() -> None:
    assert failure(["--arg_file", "args/deepmimic_humanoid_pp_args.txt"]) == (
        "command line: '--arg_file' must name a file: args/deepmimic_humanoid_pp_args.txt does not exist; "
        "the nearest existing file is args/deepmimic_humanoid_ppo_args.txt"
    )
    assert "'--arg_file' takes one value (a path), not none" in failure(["--arg_file"])


def test_no_case_named() -> None:
    for argv in ([], ["--num_envs", "4"]):
        text = failure(argv)
        assert "--arg_file args/<case>.txt" in text
        assert "--help" in text


def test_a_required_key_missing_from_the_arg_file(project: Path) -> None:
    (project / "a.txt").write_text("--engine_config data/engines/mujoco_engine.yaml\n")
    assert failure(["--arg_file", "a.txt"]) == "a.txt: required key '--env_config' (a path) is missing"


def test_a_word_before_any_key() -> None:
    assert failure(["train", *CASE]) == "command line: 'train' stands before any --key"


def test_all_problems_of_both_places_are_reported_at_once(project: Path) -> None:
    (project / "a.txt").write_text(NEEDED + "--num_envs many\n")
    lines = failure(["--arg_file", "a.txt", "--visualise", "true", "--mode", "trian"]).splitlines()
    assert lines[0] == "3 problems:"
    assert set(lines[1:]) == {
        "  a.txt:3: '--num_envs' must be a whole number, not 'many'",
        "  command line: unknown key '--visualise'; the nearest valid key is '--visualize'",
        "  command line: '--mode' must be one of train, test, not 'trian'; the nearest is 'train'",
    }


def test_the_form_of_an_arg_file(project: Path) -> None:
    (project / "a b.yaml").touch()
    (project / "a.txt").write_bytes(
        b"\xef\xbb\xbf# it's a comment with a quotation mark\r\n"
        b"\r\n"
        b"  --mode test --num_envs=3   # it's the rest of the line\r\n"
        b"--env_config 'a b.yaml'\r\n"
        b"--devices cpu cpu\r\n"
        b"--visualize\r\n"
        b"--out_dir output/run#3\r\n"
    )
    document = read_arg_file(Path("a.txt"))
    assert document.values == {
        "mode": ["test"],
        "num_envs": ["3"],
        "env_config": ["a b.yaml"],
        "devices": ["cpu", "cpu"],
        "visualize": [],
        "out_dir": ["output/run#3"],
    }
    assert [source.line for source in document.sources.values()] == [3, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_teaches_every_key(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse_run_arguments(["--num_envs", "x", flag])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text == format_help()
    for key in KEYS:
        assert f"\n  --{key}  (" in text
        block = text.split(f"\n  --{key}  (")[1].split("\n  --")[0]
        words = " ".join(block.split())
        assert "Default: " in words or "Required" in words
        assert f"Example: --{key} " in words
        assert not words.endswith(f"--{key}")
    assert "--sources" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_keys_are_the_fields() -> None:
    names = [spec.name for spec in dataclasses.fields(RunConfig)]
    assert names == [*KEYS, "sources"]


def test_a_run_can_be_sent_to_another_process() -> None:
    run = parse_run_arguments(CASE)
    copy = pickle.loads(pickle.dumps(run))
    assert copy == run
    assert copy.sources == run.sources


def test_the_default_device_is_the_first_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def glob(found: list[str]) -> None:
        def fake(self: Path, pattern: str) -> list[str]:
            asked.append((self.as_posix(), pattern))
            return found

        monkeypatch.setattr(Path, "glob", fake)

    glob(["/dev/nvidia0"])
    assert default_devices() == ("cuda:0",)
    glob([])
    assert default_devices() == ("cpu",)
    assert asked == [("/dev", "nvidia[0-9]*")] * 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--mode train --video true", "'--video' must be false while training"),
        ("--mode train --visualize true", "'--visualize' must be false while training"),
        ("--mode test --visualize true --video true", "'--visualize' must be false with --video true"),
    ],
)
def test_a_picture_nobody_would_draw_is_refused(words: str, expected: str) -> None:
    assert expected in failure([*CASE, *words.split()])
