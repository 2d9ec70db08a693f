"""Motion priors of SMP cases: where nobody has trained one yet, the run trains a small one for itself.

It goes into the case's own folder, with an agent file that names it: a proof that everything works must not leave a
half-trained prior where a real training would take it for a good one.
"""

import re
from pathlib import Path

import yaml

from ci.cases import Case
from ci.options import Options
from ci.records.results import relative
from ci.run.stages import Programs, StageCommand

MODEL_KEY = "smp_prior_model"
PRIOR_NAME = "prior.pt"


def missing_prior(repository: Path, case: Case) -> str | None:
    """The prior that the case's agent names and that is not there; None when it is there or none is needed.

    Raises ValueError when the agent file cannot be read.
    """
    if not case.agent_config:
        return None
    try:
        settings = yaml.safe_load((repository / case.agent_config).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{case.agent_config} cannot be read: {error}") from error
    model = settings.get(MODEL_KEY) if isinstance(settings, dict) else None
    return model if isinstance(model, str) and not (repository / model).is_file() else None


def prior_command(case: Case, options: Options, programs: Programs, case_dir: Path, device: str) -> StageCommand:
    """Train the case's prior for the profile's iterations, on the device that its policy is trained on."""
    profile = options.profile
    out_dir = case_dir / "prior"
    argv = (
        *programs.prior,
        *("--arg_file", case.arg_file, "--out_file", str(out_dir / PRIOR_NAME)),
        *("--iterations", str(profile.prior_iterations), "--batch_size", str(profile.prior_batch_size)),
        *("--learning_rate", str(profile.prior_learning_rate)),
        *("--devices", device, "--rand_seed", str(options.seed)),
    )
    return StageCommand("prior", argv, case_dir / "prior.log", out_dir, profile.train_timeout)


def prior_file(command: StageCommand) -> Path:
    """Where the command leaves the prior."""
    return command.out_dir / PRIOR_NAME


def agent_with_prior(repository: Path, case: Case, command: StageCommand) -> str:
    """Write the case's agent file with the trained prior in it beside that prior; its path for the arg file."""
    text = (repository / case.agent_config).read_text(encoding="utf-8")
    prior = relative(prior_file(command), repository)
    line = f"{MODEL_KEY}: {prior}  # trained for this run"
    changed, count = re.subn(rf"^{MODEL_KEY}:.*$", lambda _: line, text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{case.agent_config} has {count} lines that begin with '{MODEL_KEY}:', expected 1")
    path = command.out_dir / Path(case.agent_config).name
    path.write_text(changed, encoding="utf-8")
    return relative(path, repository)
