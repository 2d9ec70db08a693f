"""Where a pinned file lies: in a folder or page of pip's find-links, or on a package index."""

import dataclasses
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit
from urllib.request import url2pathname

import requests
from pypi_simple import ProjectPage, PyPISimple, RepositoryPage, UnsupportedRepoVersionError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from mimickit.data.fetch.pip_settings import PipSettings
from mimickit.data.files import sha256_of
from mimickit.data.recipes.packages import Package
from mimickit.errors import InputError

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.9, text/html;q=0.1"
_BUSY = (429, 500, 502, 503, 504)  # answers worth asking again for


@dataclasses.dataclass(frozen=True)
class Offer:
    """A file of the right name at an address: ``https:``, ``http:`` or ``file:``."""

    url: str  # without fragment; may hold a user and a password
    sha256: str | None  # as its folder or page states it

    @property
    def path(self) -> Path | None:
        """The file on this machine, for a ``file:`` address."""
        return _local_path(self.url)


class _NotFound(Exception):
    """A place does not offer the file; the text says what it has instead."""


class _PipAdapter(HTTPAdapter):
    """Connections as pip's settings want them, which requests would let environment variables override."""

    def __init__(self, settings: PipSettings, check_certificates: bool) -> None:
        self._settings = settings
        self._check_certificates = check_certificates
        super().__init__(
            max_retries=Retry(
                settings.retries,
                backoff_factor=0.5,
                status_forcelist=_BUSY,
                raise_on_status=False,
                respect_retry_after_header=False,  # it may be hours
            )
        )

    def init_poolmanager(self, *arguments, **options) -> None:
        super().init_poolmanager(*arguments, **options, **self._context())

    def proxy_manager_for(self, *arguments, **options):
        return super().proxy_manager_for(*arguments, **options, **self._context())

    def send(self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None) -> requests.Response:
        if not self._check_certificates:
            verify = False
        elif self._settings.cert:
            verify = str(self._settings.cert)
        if self._settings.proxy:
            proxies = {"http": self._settings.proxy, "https": self._settings.proxy}
        return super().send(request, stream, timeout or self._settings.timeout or None, verify, cert, proxies)

    def _context(self) -> dict[str, ssl.SSLContext]:
        # the system's certificate authorities besides those of requests, as in pip since 24.2
        return {"ssl_context": ssl.create_default_context()} if self._check_certificates else {}


def connect(settings: PipSettings) -> requests.Session:
    """A session that follows pip's settings; ``netrc`` and ``HTTPS_PROXY`` work as in every `requests` session."""
    session = requests.Session()
    session.cert = str(settings.client_cert) if settings.client_cert else None
    for scheme in ("https://", "http://"):
        session.mount(scheme, _PipAdapter(settings, check_certificates=True))
    for host in settings.trusted_hosts:
        for end in ("/",) if ":" in host else ("/", ":"):  # without a port, any port
            session.mount(f"https://{host}{end}", _PipAdapter(settings, check_certificates=False))
    return session


def redacted(text: str) -> str:
    """``text`` without the users and passwords of the addresses in it."""
    return re.sub(r"//[^/@\s]+@", "//****@", text)


def find_offer(package: Package, settings: PipSettings, session: requests.Session) -> Offer:
    """Where to fetch the package's file: find-links before indexes, each in its order, as long as the SHA-256 fits.

    Raises `InputError` naming every place that was asked, and what it answered.
    """
    asked = [(place, _linked) for place in settings.find_links] + [(place, _indexed) for place in settings.indexes]
    answers = []
    for place, look in asked:
        try:
            for offer in look(place, package, session):
                if offer.sha256 in (None, package.sha256):
                    return offer
                answers.append(f"{offer.url} has the SHA-256 {offer.sha256} instead of {package.sha256}")
        except (_NotFound, OSError, ValueError, UnsupportedRepoVersionError) as error:
            answers.append(f"{place}: {error}")
    said = "; ".join(answers) or "pip's settings forbid the index (no-index) and name no find-links"
    raise InputError(
        f"{package.filename} ({package.size / 1e6:.1f} MB) is nowhere to be had: {redacted(' '.join(said.split()))}. "
        "Check the network and pip's settings (python -m pip config list), or put the file, from the page of "
        f"{package.name} {package.version} on PyPI, into the wheels folder of the cache by hand"
    )


def _indexed(index: str, package: Package, session: requests.Session) -> Iterator[Offer]:
    """What a package index offers; ``file:`` addresses are indexes laid out in folders."""
    address = PyPISimple(index, session=session).get_project_url(package.name)
    folder = _local_path(address)
    if folder is not None:
        page_file = folder / "index.html"
        if not page_file.exists():
            raise _NotFound(f"there is no {page_file}")
        page = ProjectPage.from_html(package.name, page_file.read_bytes(), base_url=page_file.as_uri())
    else:
        response = session.get(address, headers={"Accept": _ACCEPT})
        if response.status_code == requests.codes.not_found:
            raise _NotFound(f"it has no project {package.name} (404 for {address})")
        response.raise_for_status()
        page = ProjectPage.from_response(response, package.name)
    offers = [
        Offer(file.url, file.digests.get("sha256")) for file in page.packages if file.filename == package.filename
    ]
    if not offers:
        versions = ", ".join(dict.fromkeys(file.version or "?" for file in page.packages)) or "none"
        raise _NotFound(f"{address} lists no {package.filename} (versions there: {versions})")
    for offer in offers:
        yield dataclasses.replace(offer, url=_with_credentials(offer.url, index))


def _linked(place: str, package: Package, session: requests.Session) -> Iterator[Offer]:
    """What an entry of pip's find-links offers: a folder, an archive, or a page of links."""
    path = _local_path(place) or (None if "://" in place else Path(place).expanduser().absolute())
    if path is None:
        response = session.get(place, headers={"Accept": "text/html"})
        response.raise_for_status()
        page, base = response.content, response.url
    elif path.suffix in (".html", ".htm"):
        page, base = path.read_bytes(), path.as_uri()
    else:
        file = path / package.filename if path.is_dir() else path
        if file.name != package.filename or not file.is_file():
            raise _NotFound(f"it holds no {package.filename}")
        yield Offer(file.as_uri(), sha256_of(file))
        return
    for link in RepositoryPage.from_html(page, base_url=base).links:
        address, fragment = urldefrag(link.url)
        if unquote(urlsplit(address).path).rpartition("/")[2] == package.filename:
            stated = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
            yield Offer(_with_credentials(address, place), stated[1] if stated else None)


def _local_path(address: str) -> Path | None:
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _with_credentials(address: str, index: str) -> str:
    """``address``, with the user and the password of an index on the same host when it brings none of its own."""
    parts, home = urlsplit(address), urlsplit(index)
    same = (parts.scheme, parts.hostname, parts.port) == (home.scheme, home.hostname, home.port)
    if not same or "@" in parts.netloc or "@" not in home.netloc:
        return address
    return parts._replace(netloc=f"{home.netloc.rpartition('@')[0]}@{parts.netloc}").geturl()
