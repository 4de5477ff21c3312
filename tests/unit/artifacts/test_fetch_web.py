"""Files over HTTP from a real server: resumed, checked, retried, kept."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from eas_engine.artifacts.fetching import job
from eas_engine.artifacts.sources.retry import LONGEST_WAIT
from eas_engine.artifacts.sources.stopping import StoppedError
from eas_engine.errors import ArtifactError, ConfigurationError
from support.fetching import Fetching, NotedStop
from support.oss_server import Fault, OssServer

DATA = bytes(number % 251 for number in range(3_000_000))
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def url(server: OssServer) -> str:
    """The address of three megabytes."""
    server.plain["m.bin"] = DATA
    return server.url("m.bin")


def test_a_file_comes_and_is_kept(server: OssServer, fetching: Fetching, url: str) -> None:
    found = fetching(url)
    assert (found.kind, found.name, found.cached, found.identity) == ("file", "m.bin", True, SHA)
    assert found.path.read_bytes() == DATA
    assert found.path.stat().st_mode & 0o777 == 0o444
    assert fetching.scratch() == []
    assert fetching(url).path == found.path
    assert fetching.scratch() == []
    assert [(one.status, one.bytes) for one in server.requests] == [([200], len(DATA)), ([304], 0)]
    assert fetching.told.events == ["fetched", "unchanged: taken from the cache"]


def test_another_version_is_fetched(server: OssServer, fetching: Fetching, url: str) -> None:
    fetching(url)
    server.plain["m.bin"] = b"new"
    assert fetching(url).path.read_bytes() == b"new"


@pytest.mark.parametrize("cut", [0, 1, 1_000_000, len(DATA) - 1])
def test_a_broken_download_goes_on_where_it_broke(
    server: OssServer, fetching: Fetching, url: str, cut: int
) -> None:
    server.faults = [Fault(cut=cut), Fault(status=503)]
    assert fetching(url).path.read_bytes() == DATA
    assert sum(one.bytes for one in server.requests if one.status in ([200], [206])) == len(DATA)
    assert [one.headers.get("Range") for one in server.requests][1:] == [f"bytes={cut}-" if cut else None] * 2
    assert len(fetching.stop.pauses) == 2


def test_a_later_start_goes_on_with_what_an_earlier_one_left(
    server: OssServer, fetching: Fetching, url: str
) -> None:
    server.faults = [Fault(cut=1_000_000), *[Fault(status=500)] * 20]
    with pytest.raises(ArtifactError, match="500 Internal Server Error"):
        fetching(url)
    assert fetching.scratch() == ["part", "part.json"]
    server.faults = []
    assert fetching(url).path.read_bytes() == DATA
    assert (server.requests[-1].status, server.requests[-1].bytes) == ([206], len(DATA) - 1_000_000)


def test_a_file_that_changed_meanwhile_is_begun_again(
    server: OssServer, fetching: Fetching, url: str
) -> None:
    server.faults = [Fault(cut=1_000_000, change=("m.bin", DATA[::-1]))]
    assert fetching(url).path.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("fault", [Fault(no_ranges=True), Fault(wrong_range=True), Fault(status=416)])
def test_servers_that_know_no_ranges(server: OssServer, fetching: Fetching, url: str, fault: Fault) -> None:
    server.faults = [Fault(cut=1_000_000), fault]
    assert fetching(url).path.read_bytes() == DATA


def test_a_file_without_a_length_ends_where_it_ends(server: OssServer, fetching: Fetching, url: str) -> None:
    server.faults = [Fault(unsized=True, cut=1_000_000), Fault(unsized=True)]
    assert fetching(url).path.read_bytes() == DATA
    assert server.requests[-1].headers.get("Range") is None


def test_more_than_was_announced_is_not_read(server: OssServer, fetching: Fetching, url: str) -> None:
    server.faults = [Fault(extra=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")]
    assert fetching(url).path.read_bytes() == DATA
    assert fetching(url).path.read_bytes() == DATA  # nor taken for the next answer


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-MD5"])
def test_wrong_bytes_are_tried_again_then_refused_with_both_values(
    server: OssServer, fetching: Fetching, url: str, field: str
) -> None:
    wrong = {"Repr-Digest": f"sha-256=:{'A' * 43}=:", "Content-MD5": f"{'A' * 22}=="}[field]
    server.faults = [Fault(headers={field: wrong})]
    assert fetching(url).path.read_bytes() == DATA
    server.plain["m.bin"] = DATA[1:]
    server.faults = [Fault(headers={field: wrong})] * 5
    with pytest.raises(
        ArtifactError, match=r"model_path: .*its (MD5|SHA-256) is [0-9a-f]+, the server says 0+"
    ):
        fetching(url)
    assert len(server.faults) == 2
    assert fetching.scratch() == []


def test_a_pinned_digest(server: OssServer, fetching: Fetching, url: str) -> None:
    with pytest.raises(ArtifactError, match=rf"its SHA-256 is {SHA}, the address says 0000"):
        fetching(f"{url}#sha256={'0' * 64}")
    found = fetching(f"{url}#sha256={SHA}")
    count = len(server.requests)
    assert fetching(f"{url}#sha256={SHA}").path == found.path
    assert len(server.requests) == count  # nobody is asked


@pytest.mark.parametrize(
    ("status", "words"), [(401, "401 Unauthorized"), (403, "403 Forbidden"), (404, "404 Not Found")]
)
def test_what_trying_again_cannot_help_is_said_at_once(
    server: OssServer, fetching: Fetching, url: str, status: int, words: str
) -> None:
    server.faults = [Fault(status=status)]
    with pytest.raises(ArtifactError, match=rf"model_path: {url}: {words} \(.*as it was told"):
        fetching(url)
    assert fetching.stop.pauses == []
    assert len(server.requests) == 1


def test_what_the_server_asks_for_is_waited(server: OssServer, fetching: Fetching, url: str) -> None:
    server.faults = [Fault(status=429, headers={"Retry-After": "17"})]
    fetching(url)
    assert fetching.stop.pauses == [17.0]
    server.plain["n.bin"] = b""
    server.faults = [Fault(status=503, headers={"Retry-After": str(int(LONGEST_WAIT) + 1)})]
    with pytest.raises(ArtifactError, match="503"):
        fetching(server.url("n.bin"))


def test_an_empty_file(server: OssServer, fetching: Fetching) -> None:
    server.plain["empty"] = b""
    assert fetching(server.url("empty")).path.read_bytes() == b""


# -- without the server


def test_without_the_server_the_copy_is_used(server: OssServer, fetching: Fetching, url: str) -> None:
    found = fetching(url)
    server.stop()
    assert fetching(url).path == found.path
    event, fields = fetching.told.lines[-1]
    assert event == "the server can't be reached: the copy in the cache is used"
    assert "Connection refused" in fields["reason"]
    assert len(fetching.stop.pauses) == 1  # an offline start isn't kept waiting


def test_a_server_that_refuses_is_believed(server: OssServer, fetching: Fetching, url: str) -> None:
    fetching(url)
    server.faults = [Fault(status=403)]
    with pytest.raises(ArtifactError, match="403"):
        fetching(url)


def test_without_server_and_copy_it_is_an_error(server: OssServer, fetching: Fetching, url: str) -> None:
    server.stop()
    with pytest.raises(ArtifactError, match="Connection refused"):
        fetching(url)


def test_a_name_that_does_not_exist(fetching: Fetching) -> None:
    with pytest.raises(ArtifactError, match=r"model_path: http://nowhere\.invalid/m"):
        fetching("http://nowhere.invalid/m")


def test_addresses_that_can_not_be_fetched(fetching: Fetching) -> None:
    for address in ("http://", "http://host:port/x", "https://[::1/x"):
        with pytest.raises(ConfigurationError, match="no address that can be fetched"):
            fetching(address)


# -- a copy that was damaged


def test_a_copy_that_was_changed_in_place_is_fetched_again(
    server: OssServer, fetching: Fetching, url: str
) -> None:
    found = fetching(url)
    found.path.chmod(0o644)
    found.path.write_bytes(b"spoilt")
    assert fetching(url).path.read_bytes() == DATA


def test_a_record_that_is_nonsense_is_ignored(server: OssServer, fetching: Fetching, url: str) -> None:
    fetching(url)
    (record,) = (fetching.root / "cache" / "records").iterdir()
    for text in ("", "{", "[]", '{"address": 1}', "null"):
        record.write_text(text)
        assert fetching(url).path.read_bytes() == DATA


def test_a_part_of_another_boot_counts_as_far_as_it_was_synced(
    server: OssServer, fetching: Fetching, url: str
) -> None:
    server.faults = [Fault(cut=1_000_000), *[Fault(status=500)] * 20]
    with pytest.raises(ArtifactError):
        fetching(url)
    about = next((fetching.root / "cache" / "scratch").glob("*.json"))
    about.write_text(about.read_text().replace('"boot": "', '"boot": "another'))
    server.faults = []
    fetching(url)
    assert (server.requests[-1].status, server.requests[-1].bytes) == ([200], len(DATA))


# -- who asks


def test_user_and_password(server: OssServer, fetching: Fetching, url: str) -> None:
    server.basic = ("me", "p@ss word")
    with pytest.raises(ArtifactError, match=r"401 Unauthorized \(who are you\?\)"):
        fetching(url)
    assert fetching(url.replace("://", "://me:p%40ss%20word@")).path.read_bytes() == DATA
    assert "p%40ss" not in fetching.told.text
    assert all("p%40ss" not in one.read_text() for one in (fetching.root / "cache" / "records").iterdir())


def test_secrets_of_an_address_are_in_no_error(server: OssServer, fetching: Fetching) -> None:
    address = server.url("none").replace("://", "://me:hush1@") + "?signature=hush2&x=hush3"
    server.faults = [Fault(status=403, code="refused hush2")]
    for _ in range(2):
        with pytest.raises(ArtifactError) as caught:
            fetching(address)
        assert "hush" not in str(caught.value) + fetching.told.text
    assert server.requests[0].query == "signature=hush2&x=hush3"


def test_redirects_are_followed_without_credentials(server: OssServer, fetching: Fetching, url: str) -> None:
    with OssServer() as other:
        other.plain["m.bin"] = DATA
        server.redirects = {"/plain/old": "/plain/older", "/plain/older": other.url("m.bin")}
        address = server.url("old").replace("://", "://me:secret@")
        assert fetching(address).path.read_bytes() == DATA
        assert [one.headers.get("Authorization") is not None for one in server.requests] == [True, True]
        assert "Authorization" not in other.requests[0].headers


def test_redirects_in_circles_end(server: OssServer, fetching: Fetching) -> None:
    server.redirects = {"/plain/a": "/plain/b", "/plain/b": "/plain/a"}
    with pytest.raises(ArtifactError, match="redirected more than 10 times"):
        fetching(server.url("a"))
    server.redirects = {"/plain/a": "ftp://host/x"}
    with pytest.raises(ArtifactError, match="redirected to ftp://host/x"):
        fetching(server.url("a"))


def test_a_redirect_to_no_address_is_refused_by_name(server: OssServer, fetching: Fetching) -> None:
    server.redirects = {"/plain/a": "http://[::1"}
    with pytest.raises(ArtifactError, match=r"/plain/a: redirected to http://\[::1: this is no address"):
        fetching(server.url("a"))
    server.redirects = {"/plain/a": "http://host:port/?sig=hush"}
    with pytest.raises(ArtifactError, match="redirected to http://host:port/") as caught:
        fetching(server.url("a"))
    assert "hush" not in str(caught.value)


def test_proxies(server: OssServer, tmp_path: Path) -> None:
    server.plain["m.bin"] = DATA
    proxies = {"http": f"http://user:pw@127.0.0.1:{server.port}", "no": "direct.invalid"}
    fetching = Fetching(tmp_path, proxies=proxies)
    assert fetching("http://far.example/plain/m.bin").path.read_bytes() == DATA
    assert server.requests[0].headers["Host"] == "far.example"
    assert server.requests[0].headers["Proxy-Authorization"].startswith("Basic ")
    with pytest.raises(ArtifactError):
        fetching("http://direct.invalid/plain/m.bin")
    fetching.end()
    with pytest.raises(ConfigurationError, match="only http:// proxies"):
        Fetching(tmp_path, proxies={"http": "socks5://x"})("http://far.example/x")


# -- being stopped


def test_a_stop_ends_a_server_that_says_nothing(server: OssServer, fetching: Fetching, url: str) -> None:
    hold = threading.Event()
    server.faults = [Fault(hold=hold, hold_after=1_000_000)]
    ended: list[BaseException] = []

    def fetch() -> None:
        try:
            fetching(url)
        except BaseException as error:  # noqa: BLE001 - any
            ended.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    while not (server.requests and server.requests[0].bytes >= 1_000_000):
        thread.join(0.01)
    fetching.stop.set()
    thread.join()
    hold.set()
    assert [type(one).__name__ for one in ended] == ["StoppedError"]
    assert fetching.scratch() == ["part", "part.json"]


# -- ended while what has come is being unpacked


class _Ended(BaseException):
    """As SIGKILL, as far as what is on disk goes: nothing tidies up for it."""


@pytest.fixture
def packed(server: OssServer) -> str:
    """The address of an archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        member = tarfile.TarInfo("model")
        member.size = len(DATA)
        tar.addfile(member, io.BytesIO(DATA))
    server.plain["m.tgz"] = made.getvalue()
    return server.url("m.tgz")


@pytest.fixture
def ended_while_unpacking(fetching: Fetching, packed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an archive whose bytes an earlier start brought, and no more."""

    def end(*_: object, **__: object) -> None:
        raise _Ended

    with monkeypatch.context() as patch:
        patch.setattr(job, "unpack", end)
        with pytest.raises(_Ended):
            fetching(packed)
    assert fetching.scratch() == ["part", "part.json"]
    return packed


def test_a_stop_while_unpacking_keeps_what_has_come(
    server: OssServer, fetching: Fetching, packed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, progress: Callable[[int, int], None], **__: object) -> None:
        fetching.stop.set()
        progress(0, 1)

    with monkeypatch.context() as patch:
        patch.setattr(job, "unpack", stopped)
        with pytest.raises(StoppedError):
            fetching(packed)
    assert fetching.scratch() == ["part", "part.json"]
    fetching.stop = NotedStop()
    assert (fetching(packed).path / "model").read_bytes() == DATA
    assert [one.status for one in server.requests] == [[200], [304]]


def test_a_whole_part_is_used_when_the_server_says_it_is_right(
    server: OssServer, fetching: Fetching, ended_while_unpacking: str
) -> None:
    assert (fetching(ended_while_unpacking).path / "model").read_bytes() == DATA
    assert [(one.status, one.bytes) for one in server.requests[1:]] == [([304], 0)]
    assert fetching.scratch() == []
    assert fetching(ended_while_unpacking).cached


def test_a_whole_part_of_a_server_that_ignores_conditions(
    server: OssServer, fetching: Fetching, ended_while_unpacking: str
) -> None:
    server.no_conditions = True
    assert (fetching(ended_while_unpacking).path / "model").read_bytes() == DATA
    assert [one.status for one in server.requests[1:]] == [[200]]
    assert fetching.told.lines[-1][0] == "fetched"
    assert fetching.scratch() == []


def test_a_whole_part_of_a_pinned_file_is_used_unasked(
    server: OssServer, fetching: Fetching, ended_while_unpacking: str
) -> None:
    digest = hashlib.sha256(server.plain["m.tgz"]).hexdigest()
    assert (fetching(f"{ended_while_unpacking}#sha256={digest}").path / "model").read_bytes() == DATA
    assert len(server.requests) == 1


def test_a_whole_part_of_another_version_is_fetched_anew(
    server: OssServer, fetching: Fetching, ended_while_unpacking: str
) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("other"))
    server.plain["m.tgz"] = made.getvalue()
    assert [one.name for one in fetching(ended_while_unpacking).path.iterdir()] == ["other"]
    assert fetching.scratch() == []


def test_a_whole_part_that_was_spoilt_is_fetched_anew(
    server: OssServer, fetching: Fetching, ended_while_unpacking: str
) -> None:
    part = next((fetching.root / "cache" / "scratch").glob("*.part"))
    about = part.with_name(f"{part.name}.json")
    digest = hashlib.sha256(server.plain["m.tgz"]).hexdigest()
    about.write_text(about.read_text().replace('"sha256": ""', f'"sha256": "{digest}"'))
    part.write_bytes(bytes(part.stat().st_size))
    assert (fetching(ended_while_unpacking).path / "model").read_bytes() == DATA


def test_a_whole_part_waits_for_a_server_that_can_not_be_asked(
    server: OssServer, fetching: Fetching, ended_while_unpacking: str
) -> None:
    server.faults = [Fault(status=503)] * 20
    with pytest.raises(ArtifactError, match="503"):
        fetching(ended_while_unpacking)
    assert fetching.scratch() == ["part", "part.json"]
    server.faults = []
    assert (fetching(ended_while_unpacking).path / "model").read_bytes() == DATA
    assert server.requests[-1].status == [304]


def test_a_whole_part_whose_length_was_not_announced(
    server: OssServer, fetching: Fetching, packed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = [Fault(unsized=True)]

    def end(*_: object, **__: object) -> None:
        raise _Ended

    with monkeypatch.context() as patch:
        patch.setattr(job, "unpack", end)
        with pytest.raises(_Ended):
            fetching(packed)
    assert (fetching(packed).path / "model").read_bytes() == DATA
    assert server.requests[-1].status == [304]


def test_an_archive_that_is_refused_is_not_kept(server: OssServer, fetching: Fetching, packed: str) -> None:
    server.plain["m.tgz"] = b"no archive"
    with pytest.raises(ArtifactError):
        fetching(packed)
    assert fetching.scratch() == []
