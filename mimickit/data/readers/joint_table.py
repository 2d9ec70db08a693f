"""Joint tables (``.csv``): a row for each frame, with the root's position and quaternion and the joints' coordinates.

With a header, columns come in any order: ``root_x``, ``root_y``, ``root_z`` (metres, z up), ``root_qx``, ``root_qy``,
``root_qz``, ``root_qw``, and the joints by the names that the character's MJCF file gives its hinges (radians). A
column ``time`` (seconds) takes the place of a frame rate.

Without a header, rows hold the position, the quaternion and the joints in the order of the MJCF file. Clips of the G1
retargeted from LAFAN1 are published so: 36 numbers, ``xyzw``, 30 frames per second.

The three columns of a ball joint are its exponential map, as in a clip.
"""

import csv
import io

import numpy as np

from mimickit.data.character import Character, joints_of_dofs
from mimickit.data.motion import Motion
from mimickit.errors import InputError

QUATERNION_ORDERS = ("xyzw", "wxyz")
_POSITION = ("root_x", "root_y", "root_z")
_TIME = "time"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table(rows: list[tuple[int, list[str]]], width: int, source: str) -> np.ndarray:
    """Numbers (N, width) of ``rows``, each a line number with its cells."""
    table = np.empty((len(rows), width))
    for index, (line, cells) in enumerate(rows):
        if len(cells) != width:
            raise InputError(f"{source}: line {line} has {len(cells)} columns, expected {width}")
        for column, cell in enumerate(cells):
            if not _is_number(cell):
                raise InputError(f"{source}: line {line}, column {column + 1} is {cell!r}, expected a number")
            table[index, column] = float(cell)
    return table


def _check_header(header: list[str], expected: list[str], source: str) -> None:
    missing = [name for name in expected if name not in header]
    unknown = [name for name in header if name not in (*expected, _TIME)]
    twice = sorted({name for name in header if header.count(name) > 1})
    wrong = [
        f"{what} {', '.join(names)}"
        for what, names in (("missing:", missing), ("not known:", unknown), ("given twice:", twice))
        if names
    ]
    if wrong:
        raise InputError(f"{source}: the header does not fit the character; {'; '.join(wrong)}")


def convert(
    data: bytes, source: str, character: Character, fps: float | None, quaternion_order: str | None = None
) -> Motion:
    """The motion of ``character`` in the table ``data`` (it does not wrap); ``source`` names it in errors.

    ``fps`` is for a table without a column ``time``; one that has it goes by it. ``quaternion_order``, one of
    `QUATERNION_ORDERS`, is for a table without a header, where None means the first of them. Raises `InputError` for
    columns that do not fit the character, for an order beside a header, and for cells that are no numbers, naming line
    and column.
    """
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source}: not a text of comma-separated values ({error})") from error
    rows = [(line, [cell.strip() for cell in cells]) for line, cells in enumerate(lines, start=1) if any(cells)]
    if not rows:
        raise InputError(f"{source}: the table is empty")
    dof_names = [name for body in character.bodies if body.joint for name in body.joint.names]
    quaternion = [f"root_q{component}" for component in quaternion_order or QUATERNION_ORDERS[0]]
    expected = [*_POSITION, *quaternion, *dof_names]
    if all(_is_number(cell) for cell in rows[0][1]):
        header = expected
        if len(rows[0][1]) != len(header):
            raise InputError(
                f"{source}: rows have {len(rows[0][1])} columns, but {character.source} needs {len(header)}: "
                f"position 3, quaternion 4 and {len(dof_names)} joints"
            )
    else:
        if quaternion_order is not None:
            raise InputError(
                f"{source}: --quat-order {quaternion_order} is for tables without a header; here the header says which "
                "column is which (root_qx, root_qy, root_qz, root_qw)"
            )
        header = rows.pop(0)[1]
        _check_header(header, expected, source)
    if _TIME not in header and fps is None:
        raise InputError(f"{source}: the table does not say its frame rate; say --fps, or add a column {_TIME!r}")
    if len(rows) < 2:
        raise InputError(f"{source}: a motion needs at least 2 rows of numbers, the table has {len(rows)}")
    table = _table(rows, len(header), source)
    tracks = dict(zip(header, table.T, strict=True))
    times = tracks[_TIME] - tracks[_TIME][0] if _TIME in tracks else np.arange(len(table)) / fps
    return Motion(
        times=times,
        root_pos=np.stack([tracks[name] for name in _POSITION], axis=-1),
        root_rot=np.stack([tracks[f"root_q{component}"] for component in "xyzw"], axis=-1),
        joints=joints_of_dofs(character, np.stack([tracks[name] for name in dof_names], axis=-1)),
        wrap=False,
    )
