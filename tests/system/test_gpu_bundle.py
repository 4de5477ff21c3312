"""The folder for a machine with a card, made for this Python and installed without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import ROOT

MOST = 60_000_000


def called(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **environ}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


_WITHOUT_ENSUREPIP = """\
#!/bin/sh
if [ "$1 $2" = "-m venv" ] && [ "$3" != "--without-pip" ]; then echo "ensurepip is not available"; exit 1; fi
exec "{python}" "$@"
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("ensurepip", [True, False])
def test_it_installs_offline_and_says_what_is_missing(tmp_path: Path, ensurepip: bool) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    folder, python = tmp_path / "bundle", f"3.{sys.version_info.minor}"
    made = called(sys.executable, str(ROOT / "scripts/gpu_bundle.py"), str(folder), "--python", python)
    if made.returncode and "No matching distribution" in made.stderr:
        pytest.skip(f"the wheels can't be fetched here: {made.stderr.splitlines()[-1]}")
    assert made.returncode == 0, made.stderr
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MOST
    # An index that isn't there: whatever looks for one fails. And no compiler: it runs uncompiled, too.
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_NO_INDEX": "1", "CC": "no-compiler"}
    base = os.path.realpath(sys.executable)  # without what this environment has: no torch, no NVML
    if not ensurepip:
        wrapper = tmp_path / "python3"
        wrapper.write_text(_WITHOUT_ENSUREPIP.format(python=base))
        wrapper.chmod(0o755)
        base = str(wrapper)
    told = called(str(folder / "gpu-check.sh"), PYTHON=base, PYTHONPATH="", **offline)
    assert told.returncode == 2, told.stdout + told.stderr
    assert "there is no C compiler" in told.stdout
    assert "torch can't be imported" in told.stderr or "there is no card here" in told.stderr
    again = called(str(folder / "gpu-check.sh"), "--help", PYTHON=base, PYTHONPATH="", **offline)
    assert again.returncode == 0
    assert "Check on one card" in again.stdout
    version = called(str(folder / ".venv/bin/eas-engine"), "--version")
    assert version.stdout.startswith("eas-engine ")
