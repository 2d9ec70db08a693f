"""What became of the other jobs of a workflow, as a gate has to see it: a job that was skipped is no success."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from ci.errors import UsageError
from ci.gate.findings import Finding

SUCCESS, FAILURE, CANCELLED, SKIPPED = "success", "failure", "cancelled", "skipped"
RESULTS = (SUCCESS, FAILURE, CANCELLED, SKIPPED)


def read_jobs(path: Path) -> dict[str, str]:
    """Job and result from a file that holds ``toJSON(needs)``. UsageError when it is not that."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = {name: job["result"] for name, job in content.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"--jobs {path}: not what toJSON(needs) gives: {type(error).__name__}: {error}") from error
    if not results:
        raise UsageError(f"--jobs {path}: no job, so this gate needs none and proves nothing.")
    return results


def judge_jobs(
    results: Mapping[str, str], optional: Collection[str], retried: Mapping[str, str], about: Collection[str] = ()
) -> list[Finding]:
    """What speaks against the run: every job that did not succeed, of those that it is ``about`` (by default all).

    ``optional`` may have been skipped, and no other. A job in ``retried`` may have failed, or lost a part to a machine
    that was taken away (GitHub calls that cancelled), where the one that repeats its lost parts succeeded; whether all
    parts came back is not seen here. UsageError for a name that is no job.
    """
    unknown = sorted({*optional, *retried, *retried.values(), *about} - set(results))
    if unknown:
        raise UsageError(f"--optional, --retried, --about: no such job in needs: {', '.join(unknown)}.")
    found = []
    for name in about or results:
        result = results[name]
        excused = result == SKIPPED and name in optional
        repeated = result in (FAILURE, CANCELLED) and results.get(retried.get(name, "")) == SUCCESS
        if result != SUCCESS and not excused and not repeated:
            shown = result if result in RESULTS else f"unknown ({result!r})"
            found.append(Finding("job", "", f"the job {name}: {shown}"))
    return found
