"""Where a download comes from: pip's settings in pip's order, indexes, folders, pages, and how it connects."""

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from rich.console import Console

from mimickit.data.fetch.download import fetch_archive
from mimickit.data.fetch.package_index import redacted
from mimickit.data.fetch.pip_settings import PipSettings, read_pip_settings
from mimickit.data.recipes.packages import Package
from mimickit.errors import InputError

CONTENT = b"one small archive"
NAME = "Motion_Clips-0.2.tar.gz"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PACKAGE = Package("Motion_Clips", "0.2", NAME, len(CONTENT), SHA256, "CC0-1.0")


class Site(ThreadingHTTPServer):
    """Pages by path; ``seen`` are the request lines' targets, as a proxy sees them whole."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, tuple[str, bytes]] = {f"/files/{NAME}": ("application/octet-stream", CONTENT)}
        self.user: str | None = None  # user:password that every request must bring
        self.seen: list[str] = []

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no error."""

    def index(self, *files: dict, kind: str = "application/vnd.pypi.simple.v1+json") -> None:
        """Let the index at /simple list ``files``."""
        meta = {"api-version": "1.0"}
        body = json.dumps({"meta": meta, "name": "motion-clips", "files": list(files)}).encode()
        self.pages["/simple/motion-clips/"] = (kind, body)


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        site = self.server
        site.seen.append(self.path)
        path = self.path.partition("//")[2].partition("/")[2]
        kind, body = site.pages.get(f"/{path}" if "//" in self.path else self.path, ("", b""))
        status = 200 if kind else 404
        if site.user is not None:
            wanted = f"Basic {base64.b64encode(site.user.encode()).decode()}"
            status = status if self.headers["Authorization"] == wanted else 401
        self.send_response(status)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body) if status == 200 else 0))
        self.end_headers()
        self.wfile.write(body if status == 200 else b"")


def _listed(url: str, sha256: str | None = SHA256) -> dict:
    return {"filename": NAME, "url": url, "hashes": {"sha256": sha256} if sha256 else {}}


def _serve(site: Site) -> Iterator[Site]:
    with site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it with pip's settings, as variables; nothing else is set, and nothing else is on the network."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")

    def set_up(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"PIP_{name.upper()}", str(value))

    return set_up


@pytest.fixture
def site(pip) -> Iterator[Site]:
    """A server of pages."""
    yield from _serve(Site())


@pytest.fixture
def address(site: Site) -> str:
    """The server's address."""
    return f"http://127.0.0.1:{site.server_port}"


@pytest.fixture
def fetch(tmp_path: Path, console: Console) -> Callable[[], bytes]:
    """Fetch the package and read it."""
    return lambda: fetch_archive(PACKAGE, tmp_path / "cache", console).read_bytes()


@pytest.fixture
def settings(console: Console) -> Callable[[], PipSettings]:
    """Read pip's settings."""
    return lambda: read_pip_settings(console)


def test_without_settings_the_default_index_is_asked(pip, settings) -> None:
    found = settings()
    assert found.indexes == (PYPI_SIMPLE_ENDPOINT,)
    assert (found.find_links, found.cert, found.proxy, found.trusted_hosts) == ((), None, None, ())
    assert (found.timeout, found.retries) == (15.0, 0)


def test_variables_beat_files_and_the_command_beats_the_rest_of_a_file(pip, settings, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex_url = https://global/simple\nextra-index-url = https://a/simple\n    https://b/simple\n"
        "timeout = 7\n[install]\nindex-url = https://install/simple\nfind-links =\n    /one\n    /two\nproxy = p:1\n"
        "[download]\nproxy = p:2\n[list]\nindex-url = https://list/simple\n"
    )
    pip(config_file=file, default_timeout=3, find_links="")
    found = settings()
    assert found.indexes == ("https://install/simple", "https://a/simple", "https://b/simple")
    assert found.find_links == ("/one", "/two")  # an empty variable is none
    assert (found.proxy, found.timeout) == ("p:2", 3.0)
    pip(index_url="https://variable/simple", extra_index_url="https://c/simple", no_index="off")
    assert settings().indexes == ("https://variable/simple", "https://c/simple")
    pip(no_index="yes")
    assert settings().indexes == ()


def test_without_pip_the_variables_apply(pip, settings, tmp_path: Path, monkeypatch, capsys) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nproxy = p:1\n")
    pip(config_file=file, extra_index_url="https://c/simple")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    found = settings()
    assert found.indexes == (PYPI_SIMPLE_ENDPOINT, "https://c/simple")
    assert found.proxy is None
    assert "has no pip: of pip's settings only the variables PIP_* are used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("no_index", "perhaps", "no-index is 'perhaps'; it must be true or false"),
        ("timeout", "soon", "timeout is 'soon'; it must be a number"),
        ("retries", "-1", "retries is '-1'; it must be a number, 0 or more"),
        ("cert", "/nowhere.pem", "cert names /nowhere.pem, which does not exist"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(pip, settings, name: str, value: str, message: str) -> None:
    pip(**{name: value})
    with pytest.raises(InputError, match=message):
        settings()


def test_a_broken_configuration_file_is_named(pip, settings, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("no section\n")
    pip(config_file=file)
    with pytest.raises(InputError, match=str(file)):
        settings()


def test_an_index_in_json(site: Site, address: str, pip, fetch) -> None:
    pip(index_url=f"{address}/simple")
    site.index(_listed("/elsewhere/old.whl") | {"filename": "old.whl"}, _listed(f"../../files/{NAME}"))
    assert fetch() == CONTENT


def test_the_second_index_is_asked_when_the_first_has_not_got_it(site: Site, address: str, pip, fetch) -> None:
    pip(index_url=f"{address}/empty", extra_index_url=f"{address}/broken {address}/simple")
    site.pages["/broken/motion-clips/"] = ("application/vnd.pypi.simple.v1+json", b"{not JSON")
    site.index(_listed(f"{address}/files/{NAME}", sha256=None))
    assert fetch() == CONTENT


def test_a_file_that_the_index_says_is_another_is_not_fetched(site: Site, address: str, pip, fetch) -> None:
    pip(index_url=f"{address}/simple")
    site.index(_listed(f"/files/{NAME}", sha256="0" * 64))
    with pytest.raises(InputError, match=f"{address}/files/{NAME} has the SHA-256 {'0' * 64} instead of {SHA256}"):
        fetch()
    assert site.seen == ["/simple/motion-clips/"]


@pytest.mark.parametrize(("kind", "said"), [("image/png", "image/png"), ("application/vnd.pypi.simple.v1+json", "url")])
def test_an_index_that_cannot_be_read_is_named(site: Site, address: str, pip, fetch, kind: str, said: str) -> None:
    pip(index_url=f"{address}/simple")
    site.index({"filename": NAME}, kind=kind)  # no address of the file: several lines of complaint
    with pytest.raises(InputError, match=f"nowhere to be had: {address}/simple: .*{said}") as caught:
        fetch()
    assert "\n" not in str(caught.value)


def test_an_index_of_folders(pip, fetch, tmp_path: Path) -> None:
    pip(index_url=(tmp_path / "none").as_uri(), extra_index_url=(tmp_path / "simple").as_uri())
    with pytest.raises(InputError, match=f"there is no {tmp_path}/none/motion-clips/index.html"):
        fetch()
    (tmp_path / "simple" / "motion-clips").mkdir(parents=True)
    page = tmp_path / "simple" / "motion-clips" / "index.html"
    page.write_text(f'<a href="../../files/{NAME}#sha256={SHA256}">{NAME}</a>')
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / NAME).write_bytes(CONTENT)
    assert fetch() == CONTENT


@pytest.mark.parametrize("form", ["folder", "address", "file"])
def test_a_file_in_find_links_comes_first(site: Site, address: str, pip, fetch, tmp_path: Path, form: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    places = {"folder": str(folder), "address": folder.as_uri(), "file": str(folder / NAME)}
    pip(index_url=f"{address}/simple", find_links=f"{tmp_path / 'nowhere'} {places[form]}")
    assert fetch() == CONTENT
    assert site.seen == []


def test_another_file_of_that_name_in_find_links_is_passed_over(site: Site, address, pip, fetch, tmp_path) -> None:
    (tmp_path / NAME).write_bytes(b"one small mistake")
    pip(index_url=f"{address}/simple", find_links=str(tmp_path))
    with pytest.raises(InputError, match=f"{NAME} has the SHA-256 .* instead of {SHA256}; {address}/simple: it has no"):
        fetch()
    site.index(_listed(f"/files/{NAME}"))
    assert fetch() == CONTENT


@pytest.mark.parametrize("local", [False, True])
def test_a_page_in_find_links(site: Site, address: str, pip, fetch, tmp_path: Path, local: bool) -> None:
    page = f'<a href="old.whl">old</a> <a href="{address}/files/{NAME}#sha256={SHA256}">this one</a>'.encode()
    site.pages["/links.html"] = ("text/html", page)
    (tmp_path / "links.html").write_bytes(page)
    pip(no_index=1, find_links=tmp_path / "links.html" if local else f"{address}/links.html")
    assert fetch() == CONTENT


def test_no_index_and_no_links_says_so(pip, fetch) -> None:
    pip(no_index="true")
    with pytest.raises(InputError, match="pip's settings forbid the index"):
        fetch()


def test_a_password_in_the_index_reaches_the_file_and_no_message(site: Site, address: str, pip, fetch) -> None:
    site.user = "me:s%cret@x"
    signed = address.replace("//", "//me:s%25cret%40x@")
    site.index(_listed(f"{address}/files/gone/{NAME}"))
    pip(index_url=f"{signed.replace('cret', 'CRET')}/simple")
    with pytest.raises(InputError, match=r"nowhere to be had: http://\*\*\*\*@127.0.0.1:.*401") as caught:
        fetch()
    assert "CRET" not in str(caught.value)
    pip(index_url=f"{signed}/simple")
    with pytest.raises(InputError, match=r"answers 404 .* for http://\*\*\*\*@127.0.0.1") as caught:
        fetch()
    assert "cret" not in str(caught.value)
    site.index(_listed(f"{address}/files/{NAME}"))
    assert fetch() == CONTENT


def test_no_password_goes_to_another_host(site: Site, address: str, pip, fetch) -> None:
    site.user = "me:secret"
    site.index(_listed(f"http://localhost:{site.server_port}/files/{NAME}"))
    pip(index_url=f"{address.replace('//', '//me:secret@')}/simple")
    with pytest.raises(InputError, match=r"answers 401 .*localhost"):
        fetch()


def test_netrc_is_used(site: Site, address: str, pip, fetch, tmp_path: Path, monkeypatch) -> None:
    site.user = "me:secret"
    site.index(_listed(f"{address}/files/{NAME}"))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    pip(index_url=f"{address}/simple")
    assert fetch() == CONTENT


@pytest.mark.parametrize("by_variable", [False, True])
def test_the_proxy_is_used(site: Site, address: str, pip, fetch, monkeypatch, by_variable: bool) -> None:
    site.index(_listed(f"/files/{NAME}"))
    pip(index_url="http://packages.invalid/simple")
    if by_variable:
        monkeypatch.setenv("HTTP_PROXY", address)
    else:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # pip's setting is the stronger one
        pip(proxy=address)
    assert fetch() == CONTENT
    assert site.seen == ["http://packages.invalid/simple/motion-clips/", f"http://packages.invalid/files/{NAME}"]


@pytest.fixture
def secure(pip, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of its own: its address, and the certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    names = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *subject]
    subprocess.run(command, check=True, capture_output=True)
    site = Site()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    site.socket = context.wrap_socket(site.socket, server_side=True)
    site.index(_listed(f"/files/{NAME}"))
    for _ in _serve(site):
        yield f"https://127.0.0.1:{site.server_port}", tmp_path / "cert.pem"


def test_an_unknown_certificate_is_refused(secure, pip, fetch) -> None:
    pip(index_url=f"{secure[0]}/simple")
    with pytest.raises(InputError, match=r"(?i)certificate"):
        fetch()


def test_pips_certificate_beats_that_of_requests(secure, pip, fetch, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.devnull)
    pip(index_url=f"{secure[0]}/simple", cert=secure[1])
    assert fetch() == CONTENT


def test_the_certificate_of_requests_is_used(secure, pip, fetch, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure[1]))
    pip(index_url=f"{secure[0]}/simple")
    assert fetch() == CONTENT


def test_the_certificates_of_the_system_are_used(secure, pip, fetch, monkeypatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(secure[1]))  # what OpenSSL takes for the system's
    pip(index_url=f"{secure[0]}/simple")
    assert fetch() == CONTENT


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("port", [False, True])
def test_a_trusted_host_needs_no_certificate(secure, pip, fetch, port: bool) -> None:
    host = secure[0].removeprefix("https://")
    pip(index_url=f"{secure[0]}/simple", trusted_host=host if port else "127.0.0.1")
    assert fetch() == CONTENT


def test_redacted_leaves_plain_addresses_alone() -> None:
    text = "https://me:pw@host/a and http://token@b:1/c, not https://host/d@e or mail@host"
    assert redacted(text) == "https://****@host/a and http://****@b:1/c, not https://host/d@e or mail@host"
