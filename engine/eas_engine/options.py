"""What the command line (or the environment) asked ``serve`` to do, and which file has the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from eas_engine.records import dataclass

LogFormat = Literal["json", "console"]
SETTINGS_FILE: Final = "eas-engine.toml"
SYSTEM_SETTINGS: Final = Path("/etc/eas-engine") / SETTINGS_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """One engine's flags. What the service itself is like is in the file that ``config`` names."""

    config: Path
    host: str = "0.0.0.0"
    port: int = 8080  # 0 = any free port
    admin_host: str = "127.0.0.1"
    admin_port: int = 9090  # 0 = any free port
    state_dir: Path | None = None  # None = state.default_root()
    overrides: tuple[str, ...] = ()  # "key=value" of -D, in the order given
    fresh: bool = False  # the file counts, even if the service was updated since it was last started with it
    strict: bool = False  # warnings about the file are errors
    log_format: LogFormat = "console"
    debug: bool = False
    any_path: bool = False  # every path of 8080 is the service (an engine started by a processor itself)
    settings: Path | None = None  # eas-engine.toml; None = the state directory's, or the machine's, if any
    cache_size: str = ""  # of fetched artifacts: "200G", "30%" of the disk; empty = half of the disk
    access_log: str = ""  # a file, or "-" for stdout; empty = none
    announce: bool = True  # say on stdout where it is, once it is ready (else whoever started it does)


def settings_file(given: Path | None, root: Path, system: Path = SYSTEM_SETTINGS) -> Path | None:
    """The file that holds: the one given, else the state root's, else the machine's; None: there is none."""
    if given is not None:
        return given
    return next((one for one in (root / SETTINGS_FILE, system) if _is_there(one)), None)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True
