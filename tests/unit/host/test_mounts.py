"""Mounts of a process's own: what it sees, what the machine doesn't, and what stays as it was.

Each test runs in processes of its own, as root (if the tests are) and as somebody without any rights.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SDK = Path(__file__).parents[3] / "sdk/python"
NOBODY = 54321
PRELUDE = """
import ctypes, encodings.ascii, errno, json, os, socket, subprocess, sys, tempfile, threading
sys.path.insert(0, {sdk!r})
from eas_host import mounts
from eas_host.mounts import Mount, NotVisible
if {uid} != os.geteuid():
    os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable, as every process is that was executed by its user
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""
def tell(**said):
    print(json.dumps(said))
"""
PROBE = """
flags = 0x20000 | (0x10000000 if os.geteuid() else 0)
libc = ctypes.CDLL(None, use_errno=True)
tell(refused=libc.unshare(flags) and os.strerror(ctypes.get_errno()))
"""
Run = Callable[[str], dict[str, Any]]


def execute(code: str, uid: int, directory: Path) -> dict[str, Any]:
    prelude = PRELUDE.format(sdk=str(SDK), uid=uid)
    done = subprocess.run(
        [sys.executable, "-I", "-c", prelude + textwrap.dedent(code)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter, with a workspace in it."""
    root = Path(tempfile.mkdtemp())
    (root / "here").mkdir()
    (root / "W/model").mkdir(parents=True)
    (root / "W/model/x").write_text("the model")
    for each in (root, *root.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    yield root
    shutil.rmtree(root)


@pytest.fixture(params=["root", "nobody"])
def run(request: pytest.FixtureRequest, place: Path) -> Run:
    """Runs code as a user whom the kernel gives namespaces; skips where it doesn't."""
    uid = {"root": 0, "nobody": NOBODY if os.geteuid() == 0 else os.geteuid()}[request.param]
    if uid == 0 and os.geteuid() != 0:
        pytest.skip("the tests aren't run by root")
    refused = execute(PROBE, uid, place)["refused"]
    if refused:
        pytest.skip(f"the kernel gives {request.param} no mount namespace: {refused}")
    for each in (place / "here", place / "W", place / "W/model", place / "W/model/x"):
        os.chown(each, uid, -1)
    return lambda code: execute(f"place = {str(place)!r}\n{textwrap.dedent(code)}", uid, place / "here")


@pytest.fixture(autouse=True)
def _nothing_is_left_on_the_machine() -> Iterator[None]:
    def seen() -> tuple[object, ...]:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        ours = [line for line in mounts if "/eas/" in line or "docker_ml" in line or "tmpfs eas" in line]
        return sorted(Path("/").iterdir()), sorted(Path("/home").iterdir()), ours

    before = seen()
    yield
    assert seen() == before


def test_the_workspace_is_where_processors_expect_it(run: Run) -> None:
    said = run("""
        mounts.arrange([Mount(place + "/W", "/eas/workspace"),
                        Mount(place + "/W", "/home/admin/docker_ml/workspace")])
        tell(read=[open(root + "/workspace/model/x").read() for root in ("/eas", "/home/admin/docker_ml")],
             cwd=os.getcwd() == place + "/here",
             same=os.stat("/eas/workspace").st_ino == os.stat(place + "/W").st_ino)
        """)
    assert said == {"read": ["the model"] * 2, "cwd": True, "same": True}


def test_everything_else_is_as_before(run: Run, place: Path) -> None:
    (place / "here/file").write_text("before")
    said = run("""
        names = os.listdir("/")
        before = {name: os.lstat("/" + name)[1:3] for name in names}
        links = {name: os.path.islink("/" + name) for name in names}
        file = open("file")
        mounts.arrange([Mount(place + "/W", "/eas/workspace")])
        with open("/dev/shm/eas-%d" % os.getpid(), "w") as shared:
            os.unlink(shared.name)
        os.close(os.open("/dev/null", os.O_RDWR))
        after = {name: os.lstat("/" + name)[1:3] for name in names}
        tell(missing=[name for name in names if name not in os.listdir("/")],
             # links and the mount points of file systems are new things of the same kind
             changed=[name for name in names if after[name] != before[name] and not links[name]],
             reopened=open("/proc/self/fd/%d" % file.fileno()).read(),
             through=open("/proc/self/cwd/file").read(), relative=open("../W/model/x").read(),
             uid=[os.getuid(), os.geteuid()], owner=os.stat("file").st_uid == os.lstat("/proc/self").st_uid,
             sys=bool(os.listdir("/sys/class")), pid=int(os.readlink("/proc/self")) == os.getpid())
        """)
    uid = said.pop("uid")
    assert uid[0] == uid[1]
    assert uid[0] in {0, NOBODY, os.geteuid()}
    said.pop("owner")
    assert said == {
        "missing": [],
        "changed": [],
        "reopened": "before",
        "through": "before",
        "relative": "the model",
        "sys": True,
        "pid": True,
    }


def test_what_it_writes_elsewhere_is_written_for_all(run: Run, place: Path) -> None:
    run("""
        mounts.arrange([Mount(place + "/W", "/eas/workspace")])
        open(place + "/here/new", "w").write("by path")
        open("/eas/workspace/model/new", "w").write("by mount")
        tell()
        """)
    assert (place / "here/new").read_text() == "by path"
    assert (place / "W/model/new").read_text() == "by mount"


def test_its_children_see_it_and_no_one_else(run: Run) -> None:
    said = run("""
        mounts.arrange([Mount(place + "/W", "/eas/workspace")])
        child = subprocess.run(["/bin/cat", "/eas/workspace/model/x"], stdout=subprocess.PIPE)
        tell(child=child.stdout.decode())
        """)
    assert said == {"child": "the model"}
    assert not Path("/eas").exists()


def test_a_target_that_is_there_is_covered_for_this_process_alone(run: Run, place: Path) -> None:
    (place / "there").mkdir()
    (place / "there/old").touch()
    said = run("""
        x = place + "/W/model/x"
        mounts.arrange([Mount(x, x, True), Mount(place + "/W", place + "/there")])
        tell(there=os.listdir(place + "/there"), write=refused(open, place + "/there/model/x", "w"))
        """)
    assert said == {"there": ["model"], "write": "EROFS"}
    assert (place / "there/old").exists()


def test_a_directory_with_a_target_in_it_is_mirrored(run: Run, place: Path) -> None:
    full = place / "full"
    (full / "sub").mkdir(parents=True)
    (full / "sub/y").write_text("y")
    (full / "z").write_text("z")
    (full / "link").symlink_to("sub/y")
    (full / "broken").symlink_to("/nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(full / "socket"))
        listening.listen()
        (full / "socket").chmod(0o777)
        said = run("""
            mounts.arrange([Mount(place + "/W", place + "/full/new/deep"),
                            Mount(place + "/W/model/x", place + "/full/n2")])
            socket.socket(socket.AF_UNIX).connect(place + "/full/socket")
            tell(all=sorted(os.listdir(place + "/full")), y=open(place + "/full/link").read(),
                 z=open(place + "/full/z").read(), broken=os.readlink(place + "/full/broken"),
                 new=open(place + "/full/new/deep/model/x").read(), n2=open(place + "/full/n2").read())
            """)
    assert said == {
        "all": ["broken", "link", "n2", "new", "socket", "sub", "z"],
        "y": "y",
        "z": "z",
        "broken": "/nowhere",
        "new": "the model",
        "n2": "the model",
    }
    assert sorted(each.name for each in full.iterdir()) == ["broken", "link", "socket", "sub", "z"]


def test_a_mirror_can_be_written_to_by_whom_the_directory_allowed_it(run: Run, place: Path) -> None:
    for name in ("open", "shut"):
        (place / name).mkdir()
    (place / "open").chmod(0o777)
    said = run("""
        mounts.arrange([Mount(place + "/W", place + name + "/new") for name in ("/open", "/shut")])
        tell(root=os.geteuid() == 0, open=refused(open, place + "/open/file", "w"),
             shut=refused(open, place + "/shut/file", "w"))
        """)
    assert said == {"root": said["root"], "open": "", "shut": "" if said["root"] else "EROFS"}
    assert [each.name for name in ("open", "shut") for each in (place / name).iterdir()] == []


def test_a_target_in_another_target(run: Run, place: Path) -> None:
    (place / "data").mkdir()
    (place / "data/d").write_text("data")
    (place / "W/model/data").mkdir()
    said = run("""
        data = "/eas/workspace/model/data"
        mounts.arrange([Mount(place + "/W", "/eas/workspace"), Mount(place + "/data", data, True)])
        tell(d=open(data + "/d").read(), write=refused(open, data + "/e", "w"),
             elsewhere=os.listdir(place + "/W/model/data"))
        """)
    assert said == {"d": "data", "write": "EROFS", "elsewhere": []}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("Mount(place + '/absent', '/eas/two')", "No such file"),
        ("Mount(place + '/W', place + '/W/model/x')", "is no directory"),
        ("Mount(place + '/W/model/x', place + '/W/model')", "is no file"),
        ("Mount(place + '/W', '/eas/workspace/not/there')", "is not there to be mounted on"),
        ("Mount(place + '/W', place + '/W/model/x/below')", "is no directory"),
    ],
)
def test_all_or_nothing(run: Run, bad: str, reason: str) -> None:
    said = run(f"""
        root = os.stat("/").st_dev, os.stat("/").st_ino
        try:
            W = place + "/W"
            mounts.arrange([Mount(W, place + "/here"), Mount(W, "/eas/workspace"), {bad}])
        except NotVisible as why:
            tell(why=str(why), here=os.listdir(place + "/here"), cwd=os.getcwd() == place + "/here",
                 root=root == (os.stat("/").st_dev, os.stat("/").st_ino))
        """)
    inner = "/eas/workspace/not" in bad  # found out after the new root is in its place
    assert reason in said.pop("why")
    assert said == {"here": [] if not inner else said["here"], "cwd": True, "root": not inner}


def test_no_right_is_won(run: Run, place: Path) -> None:
    (place / "W/model/x").chmod(0o444)
    said = run("""
        def rights():
            names = "CapPrm", "CapEff", "Uid", "Gid"
            return [line for line in open("/proc/self/status") if line.startswith(names)]
        before = rights()
        mounts.arrange([Mount(place + "/W", "/eas/workspace")])
        write = refused(open, "/eas/workspace/model/x", "w")
        tell(same=before == rights(), root=os.geteuid() == 0, write=write,
             mount=refused(mounts._mount, "/", "/", None, 4096))
        """)
    assert said["same"]
    assert said["root"] or (said["write"], said["mount"]) == ("EACCES", "EPERM")


def test_the_parent_death_signal_and_threads_work_afterwards(run: Run) -> None:
    said = run("""
        mounts.arrange([Mount(place + "/W", "/eas/workspace")])
        libc = ctypes.CDLL(None)
        libc.prctl(1, 9, 0, 0, 0)
        signal = ctypes.c_int()
        libc.prctl(2, ctypes.byref(signal), 0, 0, 0)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(open("/eas/workspace/model/x").read()))
        thread.start(); thread.join()
        tell(signal=signal.value, seen=seen)
        """)
    assert said == {"signal": 9, "seen": ["the model"]}


def test_a_directory_with_too_much_in_it_is_not_mirrored(run: Run, place: Path) -> None:
    (place / "full").mkdir()
    for number in range(1001):
        (place / f"full/{number}").touch()
    said = run("""
        try:
            mounts.arrange([Mount(place + "/W", place + "/full/new")])
        except NotVisible as why:
            tell(why=str(why))
        """)
    assert said["why"].endswith("/full has 1001 entries, too many to mirror; make the directories by hand")


def test_what_it_is_told_comes_by_a_descriptor_that_it_closes(run: Run) -> None:
    said = run("""
        file = tempfile.TemporaryFile(dir=place + "/here")
        workspace = [[place + "/W", "/eas/workspace"]]
        mounted = [["shm", [["", "/dev/shm", False, 1 << 20]]], ["workspace", workspace]]
        file.write(json.dumps(mounted).encode()); file.flush()
        told = mounts.by_arguments(["--control", "9", "--mounts", str(os.dup(file.fileno()))])
        tell(told=told, fds=len(os.listdir("/proc/self/fd")), nothing=mounts.by_arguments(["--control", "9"]))
        """)
    assert said["told"] == {"shm": "", "workspace": ""}
    assert said["nothing"] == {}
    assert said["fds"] <= 5


def test_a_kernel_that_refuses_is_said_to(place: Path) -> None:
    """No user namespaces are left: what a container or an administrator forbids looks the same."""
    said = execute(
        f"""
        libc = ctypes.CDLL(None, use_errno=True)
        if os.geteuid() == 0:
            header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
            libc.capset(header, nothing)
        else:
            mounts._call = lambda name, *rest: (_ for _ in ()).throw(OSError(1, "Operation not permitted"))
        try:
            mounts.arrange([Mount({str(place / "W")!r}, "/eas/workspace")])
        except NotVisible as why:
            tell(why=str(why))
        """,
        os.geteuid(),
        place,
    )
    assert said["why"].startswith("the kernel doesn't give this process a ")
    assert said["why"].endswith("Operation not permitted")
