"""Objects and folders from a store that checks signatures; and what it says when it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.artifacts.sources import oss_account
from eas_engine.errors import ArtifactError, ConfigurationError
from support.archives import Entry, tar_gz
from support.fetching import Fetching, contents
from support.oss_server import Fault, OssServer

FILES = {
    "weights.bin": bytes(100_000),
    "1/saved.pb": b"graph",
    "1/variables/ä +%&.data": b"variables",
    "empty": b"",
}


@pytest.fixture
def folder(server: OssServer) -> str:
    """The address of a folder; things beside it don't belong to it."""
    server.objects = {f"models/m/{name}": data for name, data in FILES.items()}
    server.objects |= {"models/m/": b"", "models/mm/other": b"x", "models/m.txt": b"y"}
    return "oss://bucket/models/m/"


def with_region(server: OssServer, root: Path) -> Fetching:
    return Fetching(root, server.endpoint, {**server.environ(), "OSS_REGION": server.region})


@pytest.mark.parametrize("token", ["", "a token"])
@pytest.mark.parametrize("version", [1, 4])
def test_signed_requests(server: OssServer, tmp_path: Path, version: int, token: str, folder: str) -> None:
    server.token = token
    environ = server.environ() | ({"OSS_REGION": server.region} if version == 4 else {})
    fetching = Fetching(tmp_path, server.endpoint, environ)
    server.objects["a b/ü+?.bin"] = b"data"
    assert fetching("oss://bucket/a b/ü+?.bin").path.read_bytes() == b"data"
    assert contents(fetching(folder).path) == FILES
    kinds = {one.headers["Authorization"].partition(" ")[0] for one in server.requests}
    assert kinds == {"OSS4-HMAC-SHA256" if version == 4 else "OSS"}
    fetching.end()


def test_a_bucket_as_part_of_the_host_s_name(server: OssServer, tmp_path: Path) -> None:
    server.objects["k"] = b"data"
    proxies = {"http": server.endpoint}
    fetching = Fetching(tmp_path, "http://oss-cn-test-internal.aliyuncs.com", server.environ(), proxies)
    assert fetching("oss://bucket/k").path.read_bytes() == b"data"
    assert server.requests[0].headers["Host"] == "bucket.oss-cn-test-internal.aliyuncs.com"
    assert "OSS4-HMAC-SHA256" in server.requests[0].headers["Authorization"]
    fetching.end()


def test_what_is_public_needs_no_credentials(server: OssServer, tmp_path: Path, folder: str) -> None:
    server.public = True
    fetching = Fetching(tmp_path, server.endpoint)
    assert contents(fetching(folder).path) == FILES
    server.public = False
    with pytest.raises(ArtifactError, match="the request was anonymous: set OSS_ACCESS_KEY_ID"):
        fetching(folder)
    fetching.end()


def test_a_second_start_only_lists(server: OssServer, fetching: Fetching, folder: str) -> None:
    first = fetching(folder)
    count = len(server.requests)
    assert fetching(folder).path == first.path
    assert len(server.requests) == count + 1
    assert fetching.told.events == ["fetched", "unchanged: taken from the cache"]


def test_of_a_folder_only_what_changed_is_fetched(server: OssServer, fetching: Fetching, folder: str) -> None:
    old = fetching(folder).path
    server.objects["models/m/1/saved.pb"] = b"other"
    server.objects["models/m/new"] = b"new"
    del server.objects["models/m/empty"]
    count = len(server.requests)
    new = fetching(folder).path
    assert contents(new) == {
        **{k: v for k, v in FILES.items() if k != "empty"},
        "1/saved.pb": b"other",
        "new": b"new",
    }
    assert sorted(one.path for one in server.requests[count + 1 :]) == [
        "/bucket/models/m/1/saved.pb",
        "/bucket/models/m/new",
    ]
    assert contents(old) == FILES  # the version before is as it was


def test_long_folders_come_in_pages(server: OssServer, fetching: Fetching) -> None:
    server.objects = {f"many/{number:04}": b"" for number in range(2500)}
    server.faults = [Fault(on="many/1", status=500)]
    assert len(contents(fetching("oss://bucket/many/").path)) == 2500
    assert len([one for one in server.requests if "list-type" in one.query]) == 3


def test_a_folder_goes_on_where_it_broke(server: OssServer, fetching: Fetching, folder: str) -> None:
    server.faults = [Fault(on="saved.pb", status=403)]
    server.faults += [Fault(on="variables", status=500)] * 30
    with pytest.raises(ArtifactError, match="403 Forbidden"):
        fetching(folder)
    server.faults = []
    (tree,) = (fetching.root / "cache" / "scratch").glob("*.tree")
    done = {f"/bucket/models/m/{name}" for name in contents(tree)}
    count = len(server.requests)
    assert contents(fetching(folder).path) == FILES
    assert not done & {one.path for one in server.requests[count:]}
    assert fetching.scratch() == []


def test_a_journal_that_ends_in_the_middle_of_a_line(
    server: OssServer, fetching: Fetching, folder: str
) -> None:
    server.faults = [Fault(on="weights", status=403)]
    with pytest.raises(ArtifactError):
        fetching(folder)
    (journal,) = (fetching.root / "cache" / "scratch").glob("*.journal")
    journal.write_bytes(journal.read_bytes()[:-5])
    assert contents(fetching(folder).path) == FILES


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("../up", "can't be a file below one directory"),
        ("/absolute", "can't be a file"),
        ("a//b", "can't be a file"),
        ("x" * 300, "can't be a file"),
        ("weights.bin/below", "is both an object and a folder"),
    ],
)
def test_keys_that_are_no_files(
    server: OssServer, fetching: Fetching, folder: str, key: str, words: str
) -> None:
    server.objects[f"models/m/{key}"] = b""
    with pytest.raises(ArtifactError, match=words):
        fetching(folder)
    assert fetching.scratch() == []


def test_the_crc_of_the_store_is_checked(server: OssServer, fetching: Fetching) -> None:
    server.objects["k"] = bytes(2_000_000)
    server.faults = [Fault(cut=1_000_000)]
    assert fetching("oss://bucket/k").path.stat().st_size == 2_000_000
    server.objects["k"] = b"other"
    server.faults = [Fault(headers={"x-oss-hash-crc64ecma": "42"})] * 3
    with pytest.raises(ArtifactError, match=r"oss://bucket/k: its CRC64 is \d{10,}, the server says 42"):
        fetching("oss://bucket/k")


def test_without_a_crc_the_tag_of_an_object_is_its_md5(server: OssServer, fetching: Fetching) -> None:
    server.with_crc = False
    server.objects["k"] = b"data"
    server.faults = [Fault(headers={"ETag": f'"{"A" * 32}"'})] * 3
    with pytest.raises(ArtifactError, match=r"its MD5 is [0-9a-f]{32}, the server says aaaa"):
        fetching("oss://bucket/k")


def test_an_object_that_changes_between_two_ranges(server: OssServer, fetching: Fetching) -> None:
    server.objects["k"] = bytes(2_000_000)
    server.faults = [Fault(cut=1_000_000, change=("k", b"\1" * 2_000_000))]
    assert fetching("oss://bucket/k").path.read_bytes() == b"\1" * 2_000_000
    assert [one.status for one in server.requests] == [[200], [412], [200]]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "SecurityTokenExpired", "get new temporary credentials"),
        (403, "RequestTimeTooSkewed", "set this machine's clock"),
        (403, "InvalidObjectState", "restore it first"),
    ],
)
def test_what_the_store_says_and_what_to_do(
    server: OssServer, fetching: Fetching, status: int, code: str, words: str
) -> None:
    server.objects["k"] = b"data"
    server.faults = [Fault(status=status, code=code)]
    with pytest.raises(ArtifactError, match=f"{code}: as it was told; .*{words}"):
        fetching("oss://bucket/k")
    assert fetching.stop.pauses == []


def test_wrong_secrets_are_said_and_not_shown(server: OssServer, tmp_path: Path) -> None:
    server.objects["k"] = b"data"
    for region in ({}, {"OSS_REGION": server.region}):
        fetching = Fetching(
            tmp_path, server.endpoint, {**server.environ(), "OSS_ACCESS_KEY_SECRET": "hush", **region}
        )
        with pytest.raises(
            ArtifactError, match=r"SignatureDoesNotMatch: .*check OSS_ACCESS_KEY_SECRET"
        ) as caught:
            fetching("oss://bucket/k")
        assert "hush" not in str(caught.value)
        assert "Signature" not in str(caught.value).replace("SignatureDoesNotMatch", "")
    fetching = Fetching(tmp_path, server.endpoint, {**server.environ(), "OSS_ACCESS_KEY_ID": "no"})
    with pytest.raises(ArtifactError, match="InvalidAccessKeyId"):
        fetching("oss://bucket/k")


def test_what_is_not_there(server: OssServer, fetching: Fetching, folder: str) -> None:
    with pytest.raises(
        ArtifactError, match=r"oss://bucket/models/m: 404 .*the address of a folder ends with /"
    ):
        fetching(folder.rstrip("/"))
    with pytest.raises(ArtifactError, match=r"in oss://bucket/models/ there is: m/, mm/, m\.txt"):
        fetching("oss://bucket/models/n/")
    with pytest.raises(ArtifactError, match="NoSuchBucket"):
        fetching("oss://backet/models/m/")
    with pytest.raises(ConfigurationError, match="oss_endpoint"):
        Fetching(fetching.root, "", server.environ())("oss://bucket/k")


def test_the_endpoint_in_the_address(server: OssServer, tmp_path: Path) -> None:
    place = oss_account.parse("oss://bucket.oss-cn-test.aliyuncs.com/k")
    assert place.endpoint == "oss-cn-test.aliyuncs.com"


def test_a_store_out_of_reach(server: OssServer, fetching: Fetching, folder: str) -> None:
    found = fetching(folder)
    server.stop()
    assert fetching(folder).path == found.path
    assert fetching.told.events[-1] == "the server can't be reached: the copy in the cache is used"


def test_listings_that_are_none(server: OssServer, fetching: Fetching) -> None:
    server.objects["f/<!DOCTYPE"] = b""
    server.public = True
    bad = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    server.plain["bad"] = bad
    server.redirects = {"/bucket/": server.url("bad")}
    with pytest.raises(ArtifactError, match="the listing isn't XML"):
        fetching("oss://bucket/f/")


# -- archives


def test_an_archive_is_unpacked_once(server: OssServer, fetching: Fetching) -> None:
    server.objects["m.tar.gz"] = server.plain["copy.tgz"] = tar_gz([Entry("a", b"1"), Entry("b", b"2")])
    found = fetching("oss://bucket/m.tar.gz")
    assert (found.kind, contents(found.path)) == ("directory", {"a": b"1", "b": b"2"})
    assert fetching("oss://bucket/m.tar.gz").path == found.path
    assert fetching(server.url("copy.tgz")).path == found.path  # the same bytes from elsewhere
    assert [one.files for one in fetching.cache.entries()] == [2]  # the archive itself isn't kept
    assert fetching.told.events.count("unpacking") == 1


def test_an_archive_that_is_refused_leaves_nothing(server: OssServer, fetching: Fetching) -> None:
    server.objects["m.tar.gz"] = tar_gz([Entry("../up", b"1")])
    with pytest.raises(
        ArtifactError, match=r"model_path: m\.tar\.gz: \.\./up: .*nothing of the archive was kept"
    ):
        fetching("oss://bucket/m.tar.gz")
    assert fetching.scratch() == []
    assert fetching.cache.entries() == []


def test_a_local_archive_is_unpacked_anew_when_it_changes(fetching: Fetching) -> None:
    path = fetching.root / "m.tgz"
    path.write_bytes(tar_gz([Entry("a", b"1")]))
    first = fetching("m.tgz")
    assert contents(first.path) == {"a": b"1"}
    assert fetching(str(path)).path == first.path
    path.write_bytes(tar_gz([Entry("a", b"2"), Entry("b", b"3")]))
    assert contents(fetching("m.tgz").path) == {"a": b"2", "b": b"3"}
    assert contents(first.path) == {"a": b"1"}


def test_local_things_are_left_where_they_are(fetching: Fetching) -> None:
    (fetching.root / "model").mkdir()
    (fetching.root / "model" / "w.bin").write_bytes(b"1")
    found = fetching("model")
    assert (found.path, found.kind, found.cached) == (fetching.root / "model", "directory", False)
    found = fetching(f"file://{fetching.root}/model/w.bin")
    assert (found.path, found.kind, found.name) == (fetching.root / "model" / "w.bin", "file", "w.bin")
    with pytest.raises(ArtifactError, match=r"none is not there; in .* there is: cache/, model/"):
        fetching("none")
    with pytest.raises(ArtifactError, match="the address says 0000"):
        fetching(f"model/w.bin#sha256={'0' * 64}")
