"""Command line that trains a motion prior: ``python -m mimickit.learning.smp_prior --arg_file FILE``."""

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mimickit.config.agent_config import SMPConfig
from mimickit.config.arguments import default_devices, parse_run_arguments
from mimickit.config.case import load_case
from mimickit.config.env_config import AMPEnvConfig
from mimickit.config.prior_config import load_prior_config
from mimickit.errors import InputError, classify, tell
from mimickit.files import check_output_file

_DESCRIPTION = """\
Train the motion prior that a case of SMP needs: a small diffusion model of windows of motion, which then judges how
much a policy moves like the clips. Train it once; it is not part of the policy's model file, and cases that share a
character and clips can share it.

The case's arg file names everything else: its environment the character, the clips and the windows; its agent the
file to write (smp_prior_model) and the prior's own settings (smp_prior_cfg). No physics runs.
"""
_EPILOG = """\
examples:
  python -m mimickit.learning.smp_prior --arg_file args/smp_humanoid_args.txt
  python -m mimickit.learning.smp_prior --arg_file args/smp_humanoid_args.txt --devices cpu --iterations 300 \\
      --batch_size 64 --learning_rate 1e-3 --out_file output/prior.pt

The second takes seconds and makes a prior that is good enough to see everything work, not to learn from. Beside the
model lies its log: NAME_log.txt has the loss of every 100 iterations. Earlier files are renamed to NAME.previous.
Ctrl-C or TERM ends the training after the current iteration, with the model written; a second Ctrl-C ends it at once.
exit codes: 0 done, 2 something is wrong with the input, 3 out of memory, 6 the loss became NaN or infinite,
130 or 143 ended early.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m mimickit.learning.smp_prior",
        None,
        _DESCRIPTION,
        _EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--arg_file", required=True, metavar="FILE", help="the case's arg file, whose agent is SMP")
    add("--devices", metavar="DEVICE", help="cpu or cuda:N (default: cuda:0 where there is an NVIDIA GPU, else cpu)")
    add("--iterations", type=_count, metavar="N", help="instead of the prior's settings'")
    add("--batch_size", type=_count, metavar="N", help="windows in an iteration, instead of the prior's settings'")
    add("--learning_rate", type=_rate, metavar="X", help="instead of the prior's settings'")
    add("--out_file", type=Path, metavar="FILE", help="instead of the agent's smp_prior_model")
    add("--rand_seed", type=_seed, metavar="N", help="of every random number (default: a new one each time)")
    return parser


def _count(word: str) -> int:
    """A whole number of at least 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number of at least 1")
    return int(word)


def _rate(word: str) -> float:
    """A number greater than 0."""
    try:
        rate = float(word)
    except ValueError:
        rate = math.nan
    if not 0.0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number greater than 0")
    return rate


def _seed(word: str) -> int:
    if not word.isdecimal() or int(word) >= 2**32:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number between 0 and 4294967295")
    return int(word)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a prior; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        signal = _train(options)
        return 128 + signal if signal else 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return tell(classify(error))[1]


def _train(options: argparse.Namespace) -> int:
    """Train as ``options`` say; the signal that ended it early, or 0."""
    case = load_case(parse_run_arguments(["--arg_file", options.arg_file]), to_be_made=("smp_prior_model",))
    if not isinstance(case.agent, SMPConfig):
        raise InputError(
            f"{options.arg_file}: a motion prior is for agent_name 'SMP', but this case's agent is "
            f"'{case.agent.agent_name}'"
        )
    if not isinstance(case.env, AMPEnvConfig):
        raise InputError(
            f"{case.run.env_config}: env_name '{case.env.env_name}' has no windows of motion for a prior to learn; "
            "smp and the tasks have"
        )
    config = load_prior_config(case.agent.smp_prior_cfg)
    config = dataclasses.replace(
        config,
        batch_size=options.batch_size or config.batch_size,
        learning_rate=options.learning_rate or config.learning_rate,
    )
    path = options.out_file or case.agent.smp_prior_model
    check_output_file(path)

    # torch takes seconds to import: not before the arguments are known to be good.
    import torch

    from mimickit.devices import check_device
    from mimickit.learning.logger import TextLog
    from mimickit.learning.smp_prior.progress import TrainingProgress
    from mimickit.learning.smp_prior.training import LossReport, WindowSource, train_prior
    from mimickit.learning.train_loop import stop_on_signal

    device = check_device(options.devices or default_devices()[0])
    seed = options.rand_seed if options.rand_seed is not None else int.from_bytes(os.urandom(3), "little")
    iterations = options.iterations or config.iterations
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32
    source = WindowSource(case.env, 1.0 / case.engine.control_freq, device)
    print(f"motion prior of {case.env.motion_file}, device {device}, seed {seed}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    log_path = path.with_name(f"{path.stem}_log.txt")
    for earlier in (path, log_path):
        if earlier.exists():
            kept = earlier.replace(earlier.with_name(f"{earlier.name}.previous"))
            print(f"the earlier {earlier.name} is now {kept}")
    log = TextLog(log_path)
    progress = TrainingProgress(iterations)

    def report(state: LossReport) -> None:
        row = {"Iteration": state.iteration, "Wall_Time": state.elapsed / 3600.0, "Loss": state.loss}
        log.write(row, state.iteration)
        progress.update(state.iteration, state.loss)

    try:
        with stop_on_signal(insist=True) as signals:
            prior = train_prior(source, config, iterations, seed, report, signals)
    finally:
        progress.close()
        log.close()
    prior.save(path)
    print(f"trained {prior.iterations:,} iterations: {path}")
    return signals[0] if signals else 0


if __name__ == "__main__":
    sys.exit(main())
