"""report.html in a real, headless Chromium: it sorts, filters, shows its pictures, and asks for nothing."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ci.gate.findings import Finding
from ci.report.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")

HOSTILE = "</script><img src=http://x><script>document.title = 'owned'</script>"


@dataclass
class Visit:
    """A page that is open, and everything it asked for or complained about since."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    contexts = []

    def open_page(path: Path, width: int = 1600, **options) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        found = Visit(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(path.as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def report(shop) -> Path:
    """Four cases that passed, one that failed and holds hostile text, one that is lost; two of them changed."""
    returns = {"add_a_args": 10.0, "amp_b_args": -2.0, "ppo_c_args": 9.5, "smp_d_args": 100.0}
    entries = [shop.entry(name, mean_return=value) for name, value in returns.items()]
    failed = shop.failed("vault_e_args", message=HOSTILE)
    failed.row.note = HOSTILE
    failed.result.stages["train"].log.write_bytes(b"\xff\xfe\x80 " + HOSTILE.encode() + b" \x1b[31m\x00\n")
    baseline = {entry.row.case: replace(entry.row, mean_return=10.0) for entry in entries}
    findings = [Finding("failed", "vault_e_args", HOSTILE), Finding("missing", HOSTILE, HOSTILE)]
    write_page(shop.root / "report.html", [*entries, failed, shop.lost("zzz_args")], shop.run, findings, None, baseline)
    return shop.root / "report.html"


def names(page, table="#case-table"):
    return page.eval_on_selector_all(
        f"{table} tbody tr:not([hidden])", "rows => rows.map(r => r.cells[0].innerText.trim())"
    )


def heading(page, text, table="#case-table"):
    return page.locator(f"{table} thead th", has=page.get_by_role("button", name=text, exact=True))


def test_it_asks_for_nothing_and_nothing_hostile_runs(visit, report):
    found = visit(report)
    page = found.page
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    page.eval_on_selector_all("img", "all => all.forEach(one => one.loading = 'eager')")
    page.wait_for_function("[...document.images].every(one => one.complete)")
    assert page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)") == [1000] * 4
    assert page.title() == f"{report.parent.name}: all_pass False"
    assert found.requests == [report.as_uri()]
    assert found.complaints == []
    shown = page.inner_text("#case-vault_e_args pre.log")
    assert HOSTILE in shown
    assert shown.startswith("\N{REPLACEMENT CHARACTER}" * 3)
    assert page.evaluate("document.scripts.length") == 1


def test_even_script_inside_it_could_not_reach_out(visit, report):
    found = visit(report)
    blocked = """async () => {
        const seen = [];
        document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
        await fetch("http://127.0.0.1:9/").catch(() => null);
        const image = new Image();
        image.src = "http://127.0.0.1:9/x.png";
        const script = document.createElement("script");
        script.textContent = "document.title = 'owned'";
        document.body.append(image, script);
        await new Promise((done) => setTimeout(done, 100));
        return seen;
    }"""
    assert sorted(found.page.evaluate(blocked)) == ["connect-src", "img-src", "script-src-elem"]
    assert found.page.title() != "owned"


def test_a_click_sorts_numbers_as_numbers_both_ways_with_the_empty_last(visit, report):
    page = visit(report).page
    assert names(page) == ["vault_e_args", "zzz_args", "add_a_args", "amp_b_args", "ppo_c_args", "smp_d_args"]
    column = heading(page, "mean return")
    column.get_by_role("button").click()
    up = ["amp_b_args", "ppo_c_args", "add_a_args", "smp_d_args"]  # -2, 9.5, 10, 100
    assert names(page) == [*up, "vault_e_args", "zzz_args"]
    assert column.get_attribute("aria-sort") == "ascending"
    column.get_by_role("button").click()
    assert names(page) == [*reversed(up), "vault_e_args", "zzz_args"]
    assert column.get_attribute("aria-sort") == "descending"
    heading(page, "case").get_by_role("button").click()
    assert names(page) == sorted([*up, "vault_e_args", "zzz_args"])
    assert page.locator("#case-table [aria-sort]").count() == 1
    heading(page, "case").get_by_role("button").click()
    assert names(page) == sorted([*up, "vault_e_args", "zzz_args"], reverse=True)


def test_the_comparison_sorts_too(visit, report):
    page = visit(report).page
    page.locator("#comparison-table thead th button", has_text="ratio").first.click()
    assert names(page, "#comparison-table")[:3] == ["ppo_c_args", "add_a_args", "smp_d_args"]  # 0.95, 1, 10


def test_the_keyboard_sorts(visit, report):
    page = visit(report).page
    heading(page, "mean return").get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert names(page)[0] == "amp_b_args"
    page.keyboard.press("Space")
    assert names(page)[0] == "smp_d_args"


def test_the_filter_keeps_what_it_is_asked_for_everywhere(visit, report):
    page = visit(report).page
    articles = "all => all.filter(one => one.offsetParent).map(one => one.id)"
    page.fill("#words", "a_args DD")
    assert names(page) == ["add_a_args"]
    assert names(page, "#comparison-table") == ["add_a_args"]
    assert page.eval_on_selector_all("article", articles) == ["case-add_a_args"]
    assert page.inner_text("#shown") == "1 of 6 cases"
    assert not page.is_visible("#failures")
    page.fill("#words", "")
    page.select_option("#kind", "failing")
    assert names(page) == ["vault_e_args", "zzz_args"]
    assert page.eval_on_selector_all("article", articles) == ["case-vault_e_args", "case-zzz_args"]
    page.select_option("#kind", "")
    page.fill("#words", "divergence")
    assert names(page) == ["vault_e_args"]
    page.fill("#words", "nothing like it")
    assert names(page) == []
    page.evaluate("location.hash = 'case-smp_d_args'")  # a link to a hidden case shows all again
    page.wait_for_function("document.getElementById('case-smp_d_args').offsetParent")
    assert len(names(page)) == 6


def test_without_javascript_everything_is_there(visit, report):
    page = visit(report, java_script_enabled=False).page
    assert page.locator("#case-table tbody tr").count() == 6
    assert page.locator("article").count() == 6
    assert page.locator("th button").count() == 0
    assert not page.is_visible("#filter")
    assert page.is_visible("#case-vault_e_args pre.log")


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_itself_never_scrolls_sideways(visit, report, width):
    page = visit(report, width).page
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    chart, label = page.locator("svg.chart").first.bounding_box(), page.locator("svg.chart text").first.bounding_box()
    assert chart["width"] >= 300
    assert label["height"] >= 8


def test_light_dark_and_paper(visit, report):
    def brightness(page, what, selector):
        colour = page.eval_on_selector(selector, f"one => getComputedStyle(one).{what}")
        red, green, blue = (int(word) for word in colour[4:-1].split(","))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    light, dark = (visit(report, color_scheme=scheme).page for scheme in ("light", "dark"))
    for selector, paint in ((".case", "backgroundColor"), ("body", "backgroundColor")):
        assert brightness(light, paint, selector) > 230
        assert brightness(dark, paint, selector) < 50
    assert brightness(light, "color", "body") < 60
    assert brightness(dark, "color", "body") > 200
    assert brightness(dark, "fill", "svg .heading") > 200
    dark.emulate_media(media="print")
    assert brightness(dark, "color", "body") < 60
    assert brightness(dark, "backgroundColor", "body") == 255
    assert not dark.is_visible("nav")
    assert not dark.is_visible("#filter")
