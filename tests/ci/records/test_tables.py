"""What is written to a table is what is read from it, and a table that is not whole is not read at all."""

import math

import pytest

from ci.cases import Case
from ci.records.results import ROW_COLUMNS, CaseRow
from ci.records.tables import read_rows, write_manifest, write_rows

FULL = CaseRow(
    case="amp_humanoid_args",
    method="amp",
    case_type="trainable",
    variant="base",
    num_envs=64,
    train_rc=-9,
    train_timeout=True,
    final_ok=False,
    note="train failed (signal): ended by SIGKILL",
    samples=8192,
    samples_per_s=1234.5,
    mean_return=math.nan,
    long_ok=True,
    dirty=False,
    packages="torch 2.13.0, mujoco 3.17.0",
)
BARE = CaseRow(case="add_g1_args", method="add", case_type="trainable")


def test_rows_come_back_as_they_were(tmp_path):
    path = tmp_path / "best_by_case.tsv"
    write_rows(path, [FULL, BARE])
    full, bare = read_rows(path)
    assert bare == BARE
    assert math.isnan(full.mean_return)
    full.mean_return = FULL.mean_return
    assert full == FULL
    first = dict(zip(ROW_COLUMNS, path.read_text().splitlines()[1].split("\t"), strict=True))
    assert (first["train_timeout"], first["test_ok"], first["long_ok"], first["dirty"]) == ("1", "0", "1", "0")
    assert (first["test_rc"], first["driver"]) == ("", "")


def test_a_cell_stays_in_its_line_and_column(tmp_path):
    path = tmp_path / "best_by_case.tsv"
    write_rows(path, [CaseRow("a", "b", "c", note='one\ttwo\nthree "four"\r')])
    (row,) = read_rows(path)
    assert row.note == "one two three 'four'"


def spoil(text: str, column: str, cell: str) -> str:
    header, line = text.splitlines()
    cells = line.split("\t")
    cells[header.split("\t").index(column)] = cell
    return f"{header}\n" + "\t".join(cells) + "\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-1], "the last line is cut off"),
        (lambda text: "", "the last line is cut off|not the header"),
        (lambda text: text[:-40] + "\n", r"line 2 has \d+ cells for 48 columns"),
        (lambda text: text + "amp\n", "line 3 has 1 cells for 48 columns"),
        (lambda text: text.replace("final_ok", "final"), r"missing \['final_ok'\], unknown \['final'\]"),
        (lambda text: text.replace("mean_ep_len", "mean_return"), r"doubled \['mean_return'\]"),
        (lambda text: spoil(text, "final_ok", "2"), "line 2, column final_ok: '2' is not 0 or 1"),
        (lambda text: spoil(text, "final_ok", ""), "column final_ok: '' is not 0 or 1"),
        (lambda text: spoil(text, "samples", "many"), "column samples: 'many' is not a whole number"),
        (lambda text: spoil(text, "samples", "1.5"), "column samples: '1.5' is not a whole number"),
        (lambda text: spoil(text, "mean_return", "5,0"), "column mean_return: '5,0' is not a number"),
        (lambda text: spoil(text, "case", ""), "column case: '' is not a name"),
        (lambda text: spoil(text, "repeats", ""), "column repeats: '' is not a whole number"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(tmp_path, change, words):
    path = tmp_path / "best_by_case.tsv"
    write_rows(path, [FULL])
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=words):
        read_rows(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "best_by_case.tsv"
    path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(ValueError, match="codec can't decode"):
        read_rows(path)


def test_the_manifest_names_what_was_selected(tmp_path):
    case = Case("a_args", "args/a_args.txt", "a", "trainable", "train", "agent.yaml", "env.yaml")
    write_manifest(tmp_path / "case_manifest.tsv", [case])
    assert (tmp_path / "case_manifest.tsv").read_text().splitlines() == [
        "case\tmethod\tcase_type\tmode\tagent_config\tenv_config",
        "a_args\ta\ttrainable\ttrain\tagent.yaml\tenv.yaml",
    ]
