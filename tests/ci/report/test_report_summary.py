"""summary.md: the verdict first, failures before successes, nothing in it is taken for markup, and it always fits."""

import re
from dataclasses import replace

from ci.gate.findings import Finding
from ci.report.summary import LIMIT_BYTES, inline, write_summary


def summary(shop, entries, findings=()):
    path = shop.root / "summary.md"
    write_summary(path, entries, shop.run, findings)
    return path.read_text()


def table(text, heading):
    """The rows of the table whose header begins with ``heading``, as lists of cells."""
    lines = text.split("\n")
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_a_green_run(shop):
    text = summary(shop, [shop.entry("ppo_b_args"), shop.entry("amp_a_args")])
    lines = text.split("\n")
    assert lines[0] == "# all_pass True: 2 of 2 cases passed"
    facts = "engine mujoco on cpu · profile smoke · seed 1 · commit cccccccccccc · 2 at a time · 65 s"
    assert lines[2] == f"`case_e2e_all_20260101_000000` · {facts}"
    assert table(text, "case") == [
        [name, "passed", "", "64", "8,192", "1,000", "5.000", "20.0", "10", "12", "10.0", "3.0", "5.0", ""]
        for name in ("amp_a_args", "ppo_b_args")
    ]
    assert "Findings" not in text
    assert "<details>" not in text


def test_failures_come_first_with_class_log_and_remedy(shop):
    entries = [shop.entry("add_c_args"), shop.failed("ppo_b_args"), shop.lost("zzz_args")]
    findings = [Finding("failed", "ppo_b_args", entries[1].row.note), Finding("missing", "", "shard 2/3 is not there")]
    text = summary(shop, entries, findings)
    assert text.startswith("# all_pass False: 1 of 3 cases passed, 2 findings\n")
    assert [(row[0], row[1], row[2]) for row in table(text, "case")] == [
        ("ppo_b_args", "**FAILED**", "divergence"),
        ("zzz_args", "**FAILED**", "no_evidence"),
        ("add_c_args", "passed", ""),
    ]
    remedy = "look at the first non-finite column of train/log.txt"
    found = table(text, "kind")
    assert found[0][:3] == ["failed", "ppo_b_args", "train failed (divergence): the loss is NaN"]
    assert found[0][3].startswith(remedy)
    assert found[1][:3] == ["missing", "", "shard 2/3 is not there"]
    assert text.index("## Findings") < text.index("## Cases") < text.index("<details>")
    assert "<summary>ppo_b_args: train (divergence)</summary>\n\n```text\n$ a command\ntrain is done\n```" in text


def test_a_finding_alone_makes_the_verdict_false(shop):
    findings = [Finding("missing", "", "a shard")]
    text = summary(shop, [shop.entry("amp_a_args")], findings)
    assert text.startswith("# all_pass False: 1 of 1 cases passed, 1 finding\n")


def test_no_case_is_no_pass(shop):
    assert summary(shop, []).startswith("# all_pass False: 0 of 0 cases passed\n")


def test_a_row_that_passed_without_a_journal_did_not_pass(shop):
    entry = shop.entry("amp_a_args")
    assert summary(shop, [replace(entry, result=None)]).startswith("# all_pass False: 0 of 1")
    entry.result.finished = False
    assert summary(shop, [entry]).startswith("# all_pass False: 0 of 1")


def test_nothing_in_a_note_or_a_log_is_markup(shop):
    entry = shop.failed("ppo_b_args")
    entry.row.note = "a | b\n**bold** `code` <img src=x> __init__ mean_return [x](y) & \x1b[31mred"
    entry.result.stages["train"].log.write_text("````\n</details>\n")
    text = summary(shop, [entry])
    (row,) = table(text, "case")
    expected = r"a \| b \*\*bold\*\* \`code\` &lt;img src=x&gt; \_\_init\_\_ mean_return \[x\](y) &amp; red"
    assert row[-1] == expected
    assert "`````text\n````\n</details>\n`````\n" in text  # the fence is longer than any inside


def test_a_number_that_is_not_finite_is_shown(shop):
    entry = shop.entry("amp_a_args", mean_return=float("nan"))
    assert table(summary(shop, [entry]), "case")[0][6] == "nan"


def test_columns_of_a_long_training_are_there_when_one_case_has_it(shop):
    plain = summary(shop, [shop.entry("amp_a_args")])
    assert "long" not in plain
    long = shop.of(shop.result("ppo_b_args", ("train", "long", "test", "viz")))
    row = table(summary(shop, [long]), "case")[0]
    assert row[4:8] == ["8,192", "1,000", "90,000", "2,000"]


def test_it_stays_below_what_github_shows_and_says_what_is_left_out(shop):
    entry = shop.failed("ppo_b_args")
    entry.result.stages["train"].log.write_text("\n".join("x" * 900 for _ in range(30)))
    entries = [replace(entry, row=replace(entry.row, case=f"case_{number}")) for number in range(60)]
    text = summary(shop, entries)
    assert len(text.encode()) < LIMIT_BYTES < 2**20
    logs = text.count("<details>")
    assert 0 < logs < 60
    assert f"{60 - logs} more logs: no room here; see report.html." in text
    many = [replace(entry, row=replace(entry.row, case=f"case_{number}")) for number in range(9_000)]
    findings = [Finding("failed", f"case_{number}", "it did not") for number in range(9_000)]
    text = summary(shop, many, findings)
    assert len(text.encode()) < LIMIT_BYTES
    assert text.startswith("# all_pass False: 0 of 9000 cases passed, 9000 findings\n")
    assert "more findings: no room here" in text
    assert "more cases: no room here" in text


def test_inline_makes_one_line():
    assert inline("a\r\n\tb\u2028c") == "a b c"
