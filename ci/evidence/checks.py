"""What a stage must have left behind before it counts as passed, whatever its exit code was.

Every check returns what it found, or the first thing that is wrong. Missing, short, contradictory and non-finite are
all failures: nothing here treats an absent number as a good one.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from ci.evidence.video import BLANK_VARIANCE, measure_video, picture_variance
from ci.failures.classify import Failure
from ci.files import read_json_object, tail

MINIMUM_FRAMES = 4
MINIMUM_COVERAGE = 0.0005  # of a frame's pixels that are the character: 150 of 640 x 480
COVERAGE_STEP = 10  # frames between measurements of the coverage
IN_VIEW_SHARE = 0.9  # of the frames
# A film is held against the motion that it shows, because a character that has fallen may rest for most of a film.
VISIBLE_MOVE = 0.01  # metres that some body moves between two frames: 98 % of such pairs and more look different
MOVING_RUN = 3  # pairs of successive frames, one after the other, with a visible move; starting an episode anew is one
FOLLOWED_SHARE = 0.9  # of the pairs with a visible move: those whose pictures differ
# Of a training, for the tables and the reports.
KEPT_FACTS = ("device_name", "versions", "iterations", "wall_s", "gpu_memory_peak_gb", "ended_by")
MODEL_FACTS = ("model_bytes", "model_sha256")  # of a training: which model it was
CLOCK_SHARE = 0.99  # of a budget of seconds; clocks of different programs differ a little
# Of each limit that may end a training: what the summary says it came to, how that reads, and the least share of it.
_LIMITS = {
    "max_samples": ("samples", "on {:.12g} samples", 1.0),
    "max_seconds": ("wall_s", "for {:.12g} s", CLOCK_SHARE),
}
PRINTED = {"Mean Return": "mean_return", "Mean Episode Length": "mean_ep_len", "Episodes": "episodes"}


@dataclass(frozen=True)
class Asked:
    """What the matrix asked of a stage, to compare with what it did.

    A training has one limit or two, ``samples`` and ``max_seconds``, and ends at whichever it reaches first.
    """

    engine: str
    devices: tuple[str, ...]
    seed: int
    num_envs: int  # per device
    samples: int | None = None
    max_seconds: float | None = None
    episodes: int = 0
    model_file: str = ""


@dataclass
class Evidence:
    """The facts read from a stage's files, and why it does not count, if so."""

    facts: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None


class _Wrong(Exception):
    """A check failed; carries the class of failure."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def check_train(out_dir: Path, _log: Path, asked: Asked) -> Evidence:
    """A training: a model file; ended by a limit that was asked for, and by nothing else; on the engine, devices and
    environments asked for; a finite log."""
    return _collect(lambda: _train_facts(out_dir, asked))


def check_test(out_dir: Path, log: Path, asked: Asked) -> Evidence:
    """A test: of the model asked for, at least the episodes asked for, finite metrics, the same numbers in its log."""
    return _collect(lambda: _test_facts(out_dir, asked, tail(log, 200)))


def check_viz(out_dir: Path, log: Path, asked: Asked) -> Evidence:
    """A rendering: a test's evidence, and a video with a picture in every frame, the character in it, moving."""
    return _collect(lambda: {**_test_facts(out_dir, asked, tail(log, 200)), **_video_facts(out_dir)})


CHECKS: dict[str, Callable[[Path, Path, Asked], Evidence]] = {
    "train": check_train,
    "long": check_train,
    "test": check_test,
    "viz": check_viz,
}


def check_checkpoint(returncode: int, output: str, model: Path, trained: Mapping[str, Any]) -> Evidence:
    """What the checkpoint reader said of the model: it loads, holds tensors, and every number in them is finite; and
    the file is the one that its training, whose facts are ``trained``, left behind."""

    def facts() -> dict[str, Any]:
        start = output.find("{")
        try:
            report, _ = json.JSONDecoder().raw_decode(output, start)
        except (ValueError, IndexError) as error:
            raise _Wrong("no_evidence", f"model.pt does not load (exit code {returncode}): {output.strip()}") from error
        if "error" in report:
            raise _Wrong("no_evidence", f"model.pt does not load: {report['error']}")
        if report.get("finite") is not True:
            raise _Wrong("divergence", f"model.pt holds non-finite numbers in {', '.join(report.get('bad', []))}")
        if returncode != 0:
            raise _Wrong("no_evidence", f"the checkpoint reader ended with exit code {returncode}: {output.strip()}")
        if not report.get("tensors") or not report.get("parameters"):
            raise _Wrong("no_evidence", "model.pt holds no parameters")
        found = model_facts(model)
        if any(found[name] != trained.get(name) for name in MODEL_FACTS):
            raise _Wrong("no_evidence", "model.pt is not what its training left: something has written to it since")
        return {"tensors": report["tensors"], "parameters": report["parameters"], **found}

    return _collect(facts)


def model_facts(model: Path) -> dict[str, Any]:
    """Size and SHA-256 of a model file. FileNotFoundError, or another OSError, when it cannot be read."""
    with model.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        return {"model_bytes": handle.tell(), "model_sha256": digest}


def _collect(facts: Callable[[], dict[str, Any]]) -> Evidence:
    try:
        return Evidence(facts())
    except _Wrong as wrong:
        return Evidence(failure=Failure(wrong.kind, str(wrong)))
    except FileNotFoundError as error:
        return Evidence(failure=Failure("no_evidence", f"{Path(error.filename).name} was not written"))
    except (OSError, ValueError) as error:
        return Evidence(failure=Failure("no_evidence", str(error)))


def _train_facts(out_dir: Path, asked: Asked) -> dict[str, Any]:
    model = model_facts(_existing(out_dir / "model.pt"))
    summary = _read_finite(out_dir / "train_summary.json")
    samples = _number(summary, "samples", "train_summary.json")
    _check_end(summary, asked)
    _same("train_summary.json", "num_envs", summary.get("num_envs"), asked.num_envs)
    _same("train_summary.json", "engine", summary.get("engine"), asked.engine)
    _same("train_summary.json", "devices", summary.get("devices"), list(asked.devices))
    _same("train_summary.json", "seed", summary.get("seed"), asked.seed)
    rate = _number(summary, "samples_per_s", "train_summary.json")
    rows = _check_log((out_dir / "log.txt").read_text(encoding="utf-8"))
    kept = {key: summary.get(key) for key in KEPT_FACTS}
    return {"samples": int(samples), "samples_per_s": rate, "log_rows": rows, **kept, **model}


def _check_end(summary: dict[str, Any], asked: Asked) -> None:
    """_Wrong unless the training came to its end by itself, at a limit that it was given and has reached."""
    _same("train_summary.json", "interrupted", summary.get("interrupted"), 0)
    limits = {"max_samples": asked.samples, "max_seconds": asked.max_seconds}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    ended_by = summary.get("ended_by")
    if not isinstance(ended_by, str) or ended_by not in given:
        wanted = " or ".join(given)
        raise _Wrong("no_evidence", f"train_summary.json: ended_by is {ended_by!r}, asked for {wanted}")
    key, text, share = _LIMITS[ended_by]
    reached = _number(summary, key, "train_summary.json")
    if reached < share * given[ended_by]:
        raise _Wrong("no_evidence", f"trained {text.format(reached)}, asked for {given[ended_by]:.12g}")
    if _number(summary, "samples", "train_summary.json") <= 0:
        raise _Wrong("no_evidence", "trained on no samples")


def _check_log(text: str) -> int:
    """The number of rows of a training log; _Wrong when it has none, is ragged, or a number in it is not finite."""
    lines = [line.split() for line in re.split(r"[\r\n]+", text) if line.strip()]
    if len(lines) < 2:
        raise _Wrong("no_evidence", "log.txt has no rows")
    header, *rows = lines
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise _Wrong("no_evidence", f"log.txt row {number} has {len(row)} values for {len(header)} columns")
        for column, word in zip(header, row, strict=True):
            try:
                value = float(word)
            except ValueError as error:
                raise _Wrong("no_evidence", f"log.txt row {number}, {column}: {word!r} is not a number") from error
            if not math.isfinite(value):
                raise _Wrong("divergence", f"log.txt row {number}, {column} is {word}")
    return len(rows)


def _test_facts(out_dir: Path, asked: Asked, log_tail: Sequence[str]) -> dict[str, Any]:
    metrics = _read_finite(out_dir / "test_metrics.json")
    values = {name: _number(metrics, name, "test_metrics.json") for name in PRINTED.values()}
    if values["episodes"] < asked.episodes:
        raise _Wrong("no_evidence", f"tested {values['episodes']:g} episodes, asked for {asked.episodes}")
    if values["mean_ep_len"] <= 0.0:
        raise _Wrong("no_evidence", f"mean_ep_len is {values['mean_ep_len']:g}")
    _same("test_metrics.json", "engine", metrics.get("engine"), asked.engine)
    _same("test_metrics.json", "device", metrics.get("device"), asked.devices[0])
    _same("test_metrics.json", "seed", metrics.get("seed"), asked.seed)
    _same("test_metrics.json", "num_envs", metrics.get("num_envs"), asked.num_envs)
    _same("test_metrics.json", "model_file", metrics.get("model_file"), asked.model_file)
    for label, name in PRINTED.items():
        printed = [line.split(":", 1)[1].strip() for line in log_tail if line.strip().startswith(f"{label}:")]
        if not printed:
            raise _Wrong("no_evidence", f"the log does not print '{label}:'")
        if not _agrees(printed[-1], values[name]):
            said = f"the log prints '{label}: {printed[-1]}'"
            raise _Wrong("no_evidence", f"{said}, test_metrics.json says {values[name]:g}")
    return {**values, "episodes": int(values["episodes"])}


def _video_facts(out_dir: Path) -> dict[str, Any]:
    listed = _read_finite(out_dir / "frames.json")
    video = measure_video(_existing(out_dir / "video.mp4"))
    sheet = picture_variance(_existing(out_dir / "contact_sheet.png"))
    frames = int(_number(listed, "frames", "frames.json"))
    if video.frames < MINIMUM_FRAMES:
        raise _Wrong("render", f"video.mp4 holds {video.frames} frames, at least {MINIMUM_FRAMES} are needed")
    if video.frames != frames:
        raise _Wrong("render", f"video.mp4 holds {video.frames} frames, frames.json lists {frames}")
    if video.blank:
        raise _Wrong("render", f"{video.blank} of {frames} frames are blank")
    if sheet < BLANK_VARIANCE:
        raise _Wrong("render", "contact_sheet.png is blank")
    coverage = _coverage(listed, frames)
    in_view = sum(value >= MINIMUM_COVERAGE for value in coverage)
    if in_view < IN_VIEW_SHARE * len(coverage):
        raise _Wrong("render", f"the character is in view in {in_view} of {len(coverage)} measured frames")
    moves = [metres >= VISIBLE_MOVE for metres in _moved(listed, frames)]
    longest = max(len(list(run)) if visible else 0 for visible, run in groupby(moves))
    if longest < MOVING_RUN:
        text = f"the character moves for {longest} frames on end, at least {MOVING_RUN} are needed"
        raise _Wrong("render", f"nothing moves: {text}")
    followed = sum(differs for differs, visible in zip(video.differs, moves, strict=True) if visible)
    if followed < FOLLOWED_SHARE * sum(moves):
        text = f"of {sum(moves)} pairs of frames between which the character moves, {followed} differ"
        raise _Wrong("render", f"the video is frozen: {text}")
    return {
        "frames": frames,
        "frames_moving": sum(video.differs),
        "variance_min": min(video.variance),
        "coverage_min": min(coverage),
    }


def _coverage(listed: dict[str, Any], frames: int) -> list[float]:
    """The measured shares of the picture that the character covers; from the first frame on, in even short steps."""
    coverage, measured = listed.get("coverage"), listed.get("coverage_frames")
    if not isinstance(coverage, list) or not coverage or not all(map(_is_finite, coverage)):
        raise _Wrong("no_evidence", "frames.json has no finite coverage")
    if measured != list(range(0, frames, COVERAGE_STEP)) or len(measured) != len(coverage):
        raise _Wrong(
            "no_evidence", f"frames.json does not give the coverage of every {COVERAGE_STEP}th of {frames} frames"
        )
    return coverage


def _moved(listed: dict[str, Any], frames: int) -> list[float]:
    """How far the character moved between each two successive frames, metres."""
    moved = listed.get("moved")
    if not isinstance(moved, list) or len(moved) != frames - 1 or not all(map(_is_finite, moved)):
        raise _Wrong("no_evidence", f"frames.json does not say how far the character moved between its {frames} frames")
    return moved


def _existing(path: Path) -> Path:
    """``path`` if there is something in it; FileNotFoundError or _Wrong if not."""
    if path.stat().st_size == 0:
        raise _Wrong("no_evidence", f"{path.name} is empty")
    return path


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _read_finite(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; _Wrong names the first number in it, at any depth, that is not finite."""
    values = read_json_object(path)
    for name, value in _leaves(values, path.name):
        if isinstance(value, float) and not math.isfinite(value):
            raise _Wrong("divergence", f"{name} is {value}")
    return values


def _leaves(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}: {key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{name}[{index}]")
    else:
        yield name, value


def _number(values: dict[str, Any], name: str, source: str) -> float:
    value = values.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _Wrong("no_evidence", f"{source}: {name} must be a number, found {value!r}")
    return float(value)


def _same(source: str, name: str, found: object, asked: object) -> None:
    if found != asked:
        raise _Wrong("no_evidence", f"{source}: {name} is {found!r}, asked for {asked!r}")


def _agrees(printed: str, value: float) -> bool:
    """Whether a printed number is ``value``, up to the rounding of a print with three digits."""
    try:
        number = float(printed)
    except ValueError:
        return False
    return math.isclose(number, value, rel_tol=1e-3, abs_tol=5e-3)
