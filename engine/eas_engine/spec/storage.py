"""``storage``: what is mounted into the instances."""

from __future__ import annotations

from typing import Literal

from eas_engine.spec.values import Boolean, Number, Section, Text, parameter


class Oss(Section):
    """A folder of an object store."""

    path: Text = parameter(..., "`oss://bucket/path/`.", pattern=r"^oss://[^/]+(/.*)?$")
    endpoint: Text = parameter("", "The store's endpoint.", shown_default="`oss_endpoint`")
    readOnly: Boolean = parameter(False, "Whether it can be written to.")  # noqa: N815


class Nfs(Section):
    """A directory of an NFS server."""

    server: Text = parameter(..., "The server's name or address.", min_length=1)
    path: Text = parameter("/", "The exported path.")
    readOnly: Boolean = parameter(False, "Whether it can be written to.")  # noqa: N815


class Git(Section):
    """A checkout of a repository, read-only."""

    repo: Text = parameter(..., "The repository's address (HTTPS).", min_length=1)
    branch: Text = parameter("master", "The branch.")
    commit: Text = parameter("", "The commit.", shown_default="the branch's newest")


class EmptyDir(Section):
    """A directory that begins empty."""

    medium: Literal["", "memory"] = parameter("", "`memory`: it lies in memory.", shown_default="disk")
    size_limit: Number | None = parameter(
        None, "Its largest size.", unit="GB", shown_default="none", gt=0, le=2**20
    )


class Local(Section):
    """A directory of this machine."""

    path: Text = parameter(..., "The directory.", min_length=1)


class Mount(Section):
    """One mount: where, and exactly one of what."""

    mount_path: Text = parameter(
        ..., "Where the instances see it; the rest of the machine doesn't.", pattern=r"^/"
    )
    oss: Oss | None = parameter(None, "An object store's folder: a FUSE mount, else a synchronised copy.")
    nfs: Nfs | None = parameter(None, "An NFS export.")
    git: Git | None = parameter(None, "A git checkout.")
    empty_dir: EmptyDir | None = parameter(None, "An empty directory.")
    local: Local | None = parameter(None, "A directory of this machine.")
