"""What a step tells GitHub, and that a text from a log cannot tell it anything else."""

import pytest

from ci.github import Annotation, print_annotations, write_outputs, write_summary


@pytest.fixture
def actions(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


def test_outputs_and_summaries_are_added_where_there_is_a_place(tmp_path, monkeypatch):
    write_outputs({"count": "3"})  # nowhere
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    write_outputs({"count": "3", "matrix": '{"include": []}'})
    write_outputs({"device": "cpu"})
    write_summary("# One\n")
    write_summary("two\n")
    assert (tmp_path / "output").read_text() == 'count=3\nmatrix={"include": []}\ndevice=cpu\n'
    assert (tmp_path / "summary").read_text() == "# One\ntwo\n"


@pytest.mark.parametrize("value", ["a\nother=b", "a\rother=b"])
def test_an_output_cannot_begin_another(tmp_path, monkeypatch, value):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    with pytest.raises(ValueError, match="the output note has a line break"):
        write_outputs({"count": "3", "note": value})
    assert not (tmp_path / "output").exists()


def test_an_annotation_is_one_line_whatever_it_quotes(actions, capsys):
    print_annotations([Annotation("amp, a: b", "100 %\n::set-output name=x::y\r", "args/amp_args.txt")])
    assert capsys.readouterr().out == (
        "::error file=args/amp_args.txt,title=amp%2C a%3A b::100 %25%0A::set-output name=x::y%0D\n"
    )


def test_no_more_annotations_than_github_shows(actions, capsys):
    print_annotations(Annotation(f"case {number}", "red") for number in range(10))
    assert len(capsys.readouterr().out.splitlines()) == 10
    print_annotations(Annotation(f"case {number}", "red") for number in range(12))
    *_, ninth, last = capsys.readouterr().out.splitlines()
    assert ninth == "::error title=case 8::red"
    assert last == "::error title=and more::3 more are in the summary of the job"


def test_elsewhere_nothing_is_annotated(monkeypatch, capsys):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    print_annotations([Annotation("a", "b")])
    assert capsys.readouterr().out == ""
