"""``ci lost``: the rows of a matrix whose jobs did not begin, to be given to runners once more."""

import argparse
import json
from pathlib import Path

from ci.errors import UsageError
from ci.files import read_json_object
from ci.github import write_outputs, write_summary

SUMMARY = "name the rows of a matrix whose job was lost before its first step"

EPILOG = """\
example:
  python -m ci lost plan/matrix.json began/ --mark plan-began-

The first step of a row's job leaves a folder or a file named by the mark and the row's "index", as plan-began-3. A row
without one was given to a runner that was lost, or that never came: nothing of the project ran, so nothing of it
failed, and the row may be given to a runner once more. A row that began is never repeated.

It prints the rows, and writes the outputs "matrix" (with those rows) and "count" of a workflow's step.
exit code: 0 written; 2 the command is wrong.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``ci lost``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("matrix", type=Path, metavar="MATRIX.json", help="what ci matrix wrote")
    parser.add_argument("began", type=Path, metavar="DIR", help="holds a file or folder for each row that began")
    parser.add_argument("--mark", default="began-", metavar="TEXT", help="how their names begin (default: began-)")


def run(arguments: argparse.Namespace, repository: Path) -> int:
    """Print and write the rows that did not begin. UsageError when the two do not belong together."""
    try:
        rows = {int(row["index"]): row for row in read_json_object(arguments.matrix)["include"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{arguments.matrix}: not a matrix: {type(error).__name__}: {error}") from error
    if not rows:
        raise UsageError(f"{arguments.matrix} has no rows.")
    if not arguments.began.is_dir():
        raise UsageError(f"{arguments.began} is no folder.")
    names = sorted(path.name for path in arguments.began.iterdir())
    mark = arguments.mark
    began = {name.removeprefix(mark) for name in names}
    strange = [name for name in names if not name.startswith(mark) or name.removeprefix(mark) not in map(str, rows)]
    if strange:
        raise UsageError(f"{arguments.began}: {', '.join(strange)} belongs to no row of {arguments.matrix}.")
    lost = [row for index, row in rows.items() if str(index) not in began]
    for row in lost:
        print(f"shard {row['shard']} did not begin: {row['cases']}")
    print(f"{len(lost)} of {len(rows)} did not begin")
    if lost:
        shards = ", ".join(str(row["shard"]) for row in lost)
        write_summary(f"**Runner lost** before the first step of shard {shards}: given to a runner once more.\n")
    write_outputs({"matrix": json.dumps({"include": lost}, allow_nan=False), "count": str(len(lost))})
    return 0
