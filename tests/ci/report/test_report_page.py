"""report.html as a file: what it says, that it needs nothing else, and that nothing in it can act. (In a browser:
test_report_browser.py.)"""

import base64
import hashlib
import io
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from ci.failures.classify import Failure
from ci.gate.findings import Finding
from ci.plan.plan import Plan, PlannedCase
from ci.profiles import PROFILES
from ci.records.results import ProcessResult, not_run
from ci.report.page import write_page
from ci.stage_kinds import LONG_STAGES

VOID = {"meta", "link", "img", "input", "wbr"}


class Page(HTMLParser):
    """Every element with its attributes, its text, and the text of all elements below it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements = []  # tag, attributes, words below it
        self._open = []
        self.raw = text
        self.feed(text)
        assert self._open == [], "elements that are not closed"

    def handle_starttag(self, tag, attributes):
        element = (tag, dict(attributes), [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag
        if tag not in ("a", "span", "b", "strong"):
            self.handle_data(" ")

    def handle_data(self, data):
        for _, _, words in self._open:
            words.append(data)

    def all(self, tag, **wanted):
        return [
            (attributes, " ".join("".join(words).split()))
            for found, attributes, words in self.elements
            if found == tag and all(attributes.get(name.rstrip("_")) == value for name, value in wanted.items())
        ]

    def text(self, tag, **wanted):
        (found,) = self.all(tag, **wanted)
        return found[1]


def page(shop, entries, findings=(), plan=None, baseline=None):
    path = shop.root / "report.html"
    write_page(path, entries, shop.run, findings, plan, baseline)
    return Page(path.read_text(encoding="utf-8"))


def plan_of(*names):
    cases = tuple(PlannedCase(name, "trainable", ("train", "test", "viz"), 20.0, True) for name in names)
    return Plan(
        settings=PROFILES["smoke"],
        engine_config="data/engines/mujoco_engine.yaml",
        engine="mujoco",
        device="cpu",
        device_nontrainable="cpu",
        seed=1,
        commit="c" * 40,
        changes="",
        cases=cases,
        shards=(names,),
        why="all cases",
    )


def test_a_green_run(shop):
    entries = [shop.entry("ppo_b_args"), shop.entry("amp_a_args")]
    found = page(shop, entries, plan=plan_of("ppo_b_args", "amp_a_args"))
    assert found.text("h1") == "all_pass True"
    assert found.text("ul", class_="counts") == "2 cases 2 passed 0 failed 0 findings"
    facts = [text for attributes, text in found.all("dd") if "class" not in attributes]
    assert facts == [
        shop.root.name,
        "c" * 40,
        "smoke",
        "mujoco 3.17.0",
        "cpu",
        "Stub",
        "mujoco 3.17.0",
        "1",
        "2",
        "1:05; processes 38 s",
        "2 cases in 1 shard(s); these: 40 s",
        "all cases",
        "no earlier green run",
    ]
    assert [text for _, text in found.all("h3")] == ["amp_a_args passed", "ppo_b_args passed"]
    assert not found.all("section", id="findings")
    assert not found.all("section", id="failures")
    assert not found.all("section", id="comparison")


def test_a_finding_alone_makes_the_banner_red(shop):
    found = page(shop, [shop.entry("amp_a_args")], [Finding("missing", "", "shard 2/3 did not come back")])
    assert found.text("h1") == "all_pass False"
    assert found.all("header", class_="banner bad")
    assert "missing shard 2/3 did not come back look at the shard's job" in found.text("section", id="findings")


def test_no_case_at_all_is_red(shop):
    found = page(shop, [])
    assert found.text("h1") == "all_pass False"
    assert "There is no case." in found.text("section", id="cases")


def test_failures_stand_first_with_class_message_remedy_and_log(shop):
    entries = [shop.entry("add_c_args"), shop.failed("ppo_b_args"), shop.lost("zzz_args")]
    found = page(shop, entries, [Finding("failed", "ppo_b_args", "x")])
    assert [text for _, text in found.all("h3")] == ["ppo_b_args FAILED", "zzz_args FAILED", "add_c_args passed"]
    assert found.raw.index('id="failures"') < found.raw.index('id="cases"') < found.raw.index('id="passed"')
    failed = found.text("article", id="case-ppo_b_args")
    assert "class divergence in train: a number that must be finite is NaN or infinite" in failed
    assert "message the loss is NaN remedy look at the first non-finite column of train/log.txt" in failed
    assert "$ a command train is done" in failed
    lost = found.text("article", id="case-zzz_args")
    assert "class no_evidence in case" in lost
    assert "attempts.json is missing or cannot be read: no shard brought it back" in lost
    rows = [text.split()[:3] for attributes, text in found.all("tr") if "data-case" in attributes]
    assert rows[0] == ["ppo_b_args", "FAILED", "divergence"]
    assert found.all("a", href="#case-ppo_b_args")


def test_everything_is_inside_and_nothing_but_its_own_script_may_run(shop):
    found = page(shop, [shop.entry("amp_a_args"), shop.failed("ppo_b_args")])
    (policy,) = [attributes["content"] for attributes, _ in found.all("meta") if "http-equiv" in attributes]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", found.raw, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    for tag, attributes, _ in found.elements:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        if "src" in attributes:
            assert attributes["src"].startswith("data:image/jpeg;base64,")
    assert not re.search(r"url\(|@import|https?:", found.raw)


def test_the_contact_sheet_is_a_smaller_jpeg_and_leads_to_the_film(shop):
    found = page(shop, [shop.entry("amp_a_args")])
    (attributes, _) = found.all("img")[0]
    assert (attributes["width"], attributes["height"], attributes["loading"]) == ("1000", "452", "lazy")
    picture = Image.open(io.BytesIO(base64.b64decode(attributes["src"].split(",")[1])))
    assert (picture.format, picture.size) == ("JPEG", (1000, 452))
    grey = np.asarray(picture.convert("L"), dtype=float)
    assert grey[2].mean() == pytest.approx(255 * 2.5 / 452, abs=3)
    assert grey[-3].mean() == pytest.approx(255 * (1 - 2.5 / 452), abs=3)
    film = "runs/amp_a_args/base_e64/viz/video.mp4"
    assert [text for _, text in found.all("a", href=film)] == ["film", ""]


def test_links_are_relative_and_lead_to_files(shop):
    found = page(shop, [shop.entry("amp_a b#%?_args"), shop.failed("ppo_b_args")])
    targets = [attributes["href"] for attributes, _ in found.all("a") if not attributes["href"].startswith("#")]
    assert len(targets) > 10
    for target in targets:
        assert not target.startswith(("/", "file:"))
        assert not set(target) & set(':#? "')
        assert (shop.root / unquote(target)).is_file(), target


def test_what_is_missing_is_said(shop):
    entries = [shop.entry(f"{name}_args") for name in ("a", "b", "c", "d")]
    for entry in entries:
        entry.result.attempts[0].out_dir.joinpath("viz/video.mp4").unlink()
    folders = [entry.result.attempts[0].out_dir for entry in entries]
    (folders[0] / "viz" / "contact_sheet.png").unlink()
    (folders[1] / "viz" / "contact_sheet.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    (folders[2] / "train" / "log.txt").unlink()
    (folders[3] / "train" / "log.txt").write_text("Samples Test_Return\n1 nan\n2 3\n4\n")
    found = page(shop, [*entries, shop.failed("e_args")])
    a, b, c, d, e = (found.text("article", id=f"case-{name}_args") for name in "abcde")
    assert "No contact sheet: viz/contact_sheet.png was not written, or is not here." in a
    assert "No contact sheet: contact_sheet.png cannot be decoded" in b
    assert "train/log.txt was not written, or is not here." in c
    assert "1 of 3 rows cannot be read; 1 number is not finite." in d
    assert "No contact sheet: viz was not run." in e
    assert len(found.all("img")) == 2
    assert all("film" not in text for text in (a, b, c, d))


def test_curves_tell_their_values(shop):
    found = page(shop, [shop.entry("amp_a_args")])
    labels = [attributes["aria-label"] for attributes, _ in found.all("svg")]
    assert labels == [
        "mean return over samples; train from 1 to 5; test from 2 to 6",
        "episode length, control steps over samples; train from 10 to 35; test from 20 to 40",
    ]
    titles = [text for _, text in found.all("title")]
    assert "test: 6 at 8,192 samples" in titles


def test_a_long_training_stands_before_its_probe(shop):
    found = page(shop, [shop.of(shop.result("amp_a_args", LONG_STAGES))])
    assert [text for _, text in found.all("h4")] == ["long training log.txt", "probe training log.txt"]
    assert len(found.all("svg")) == 4


def test_tries_and_their_processes(shop):
    entry = shop.entry("amp_a_args")
    low = entry.result.attempts[0]
    stages = {"train": replace(low.stages["train"], failure=Failure("out_of_memory", "128 do not fit"))}
    stages |= {"test": not_run("test"), "viz": not_run("viz")}
    lost = replace(
        low.stages["train"], failure=Failure("process_group", "port taken"), result=ProcessResult(7, False, 2)
    )
    entry.result.attempts[:0] = [replace(low, num_envs=128, stages=stages)]
    low.repeated.append(lost)
    found = page(shop, [entry])
    text = found.text("article", id="case-amp_a_args")
    assert "2 tries and their processes" in text
    assert "base_e128: 128 environments, 8,192 samples, on cpu: train failed (out_of_memory): 128 do not fit" in text
    assert "base_e64: 64 environments, 8,192 samples, on cpu: passed" in text
    assert "train, then run once more process_group: port taken 2.0 7 0.0 0.00" in text
    assert "train passed 10.0 0 7.0 1.50 train.log" in text
    assert "test not run - - - -" in text
    assert "data passed 1.0 0 7.0 1.50 data.log" in text


def test_commands_can_be_pasted_into_a_shell(shop):
    entry = shop.entry("amp_a_args")
    record = entry.result.stages["viz"]
    record.argv = (str(shop.run.repository / ".venv/bin/python"), "mimickit/run.py", "--name", "a b; rm $HOME")
    found = page(shop, [entry])
    commands = [text for _, text in found.all("pre", class_="command")]
    assert commands[0] == "python mimickit/run.py --mode data"
    assert commands[1].startswith("NCCL_P2P_DISABLE=1 ")
    viz = "MESA_GL_VERSION_OVERRIDE=3.3 MESA_GLSL_VERSION_OVERRIDE=330 .venv/bin/python mimickit/run.py --name "
    assert commands[3] == viz + "'a b; rm $HOME'"


def test_text_of_others_is_text(shop):
    bad = "</script></style><img src=http://x onerror=alert(1)>\x1b[31m&amp; \x00\ud800"
    entry = shop.failed("ppo_b_args", message=bad)
    entry.row.note = entry.row.method = entry.row.agent_config = bad
    entry.result.attempts[0].stages["train"].log.write_bytes(b"\xff\xfe\x00 </pre><img src=http://y>\x1b[2J\r\n")
    entry = replace(entry, row=replace(entry.row, case='"><img src=http://z>'))
    found = page(shop, [entry], [Finding("failed", bad, bad)], baseline={bad: replace(entry.row, case=bad)})
    assert found.all("img") == []
    lost = "\N{REPLACEMENT CHARACTER}"
    shown = f"</script></style><img src=http://x onerror=alert(1)>&amp; {2 * lost}"
    assert shown in found.text("dl", class_="trouble")
    assert f"{3 * lost} &lt;/pre&gt;&lt;img src=http://y&gt;\n" in found.raw
    assert not re.search("[\x00-\x08\x0b-\x1f]", found.raw)


def test_two_cases_of_one_name_have_two_sections(shop):
    entry = shop.entry("amp_a_args")
    found = page(shop, [entry, entry])
    assert [attributes["id"] for attributes, _ in found.all("article")] == ["case-amp_a_args", "case-amp_a_args-2"]


def test_comparison_with_the_last_green_run(shop):
    entries = [shop.entry("amp_a_args", mean_return=2.0), shop.failed("ppo_b_args")]
    then = shop.entry("add_c_args").row
    baseline = {
        name: replace(then, case=name) for name in ("amp_a_args", "ppo_b_args", "gone_args", "other_shard_args")
    }
    plan = plan_of("amp_a_args", "ppo_b_args", "other_shard_args")
    found = page(shop, entries, plan=plan, baseline=baseline)
    text = found.text("section", id="comparison")
    assert "1 newly failing, 1 gone, 1 number worse, 1 number better." in text
    assert "ppo_b_args newly failing" in text
    assert "2.000 5.000 ×0.40" in text
    assert "1 case of that run is gone from this one gone_args" in text
    assert "other_shard_args" not in text
    about = f"{shop.root.name}, commit cccccccccccc, 4 cases"
    assert about in [text for _, text in found.all("dd")]
    worse = [text for attributes, text in found.all("td") if "worse" in attributes.get("class", "")]
    assert worse == ["×0.40"]


def test_numbers_carry_the_value_they_sort_by(shop):
    found = page(shop, [shop.entry("amp_a_args", mean_return=float("nan")), shop.lost("zzz_args")])
    by_case = {}
    for tag, attributes, _ in found.elements:
        if tag == "tr":
            row = by_case.setdefault(attributes.get("data-case"), [])
        if tag == "td" and "data-value" in attributes:
            row.append(attributes["data-value"])
    assert by_case["case-amp_a_args"][:5] == ["64", "8192", "1000.0", "nan", "20.0"]
    assert by_case["case-zzz_args"][:5] == ["", "", "", "", ""]


def test_thirty_seven_cases_are_small_and_quick(shop):
    entry = shop.entry("amp_a_args")
    noise = np.random.default_rng(1).normal(128, 12, (148, 328, 3)).clip(0, 255).astype(np.uint8)
    sheet = Image.fromarray(noise).resize((1310, 592))
    sheet.save(entry.result.attempts[0].out_dir / "viz" / "contact_sheet.png")
    rows = "\n".join(f"{number} {number * 2048} {number % 7} {number % 5}" for number in range(400))
    (entry.result.attempts[0].out_dir / "train" / "log.txt").write_text(
        f"Iteration Samples Test_Return Train_Episode_Length\n{rows}\n"
    )
    entries = [replace(entry, row=replace(entry.row, case=f"amp_{number}_args")) for number in range(37)]
    started = time.process_time()
    write_page(shop.root / "report.html", entries, shop.run, [], None, None)
    assert time.process_time() - started < 8.0
    assert (shop.root / "report.html").stat().st_size < 6e6
