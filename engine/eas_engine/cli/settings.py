"""The engine settings (``eas-engine.toml``) and the flags that they may set."""

from __future__ import annotations

from pathlib import Path

import typer


def below_flags(ctx: typer.Context, given: Path | None) -> Path | None:
    """What the file says of flags holds where neither a flag nor its variable says anything.

    The callback of ``--settings``: it is called before other options get their values, and after
    ``--state-dir`` has. Whatever is wrong with the file is told by who reads all of it.
    """
    from eas_engine.options import settings_file
    from eas_engine.state import default_root

    root: Path = ctx.params.get("state_dir") or default_root()
    if (path := settings_file(given, root.absolute())) is not None:
        from eas_engine.spec.engine.load import flags

        ctx.default_map = {**(ctx.default_map or {}), **flags(path)}
    return given
