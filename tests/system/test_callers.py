"""``networking.disable_internet_endpoint`` with a caller whose address is none of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import foreign_caller
from support.repository import ROOT

UNSHARE = shutil.which("unshare")
IN_A_NETWORK_OF_ITS_OWN = [str(UNSHARE), "--net"]


def can_have_a_network() -> bool:
    """Whether this machine lets us make one: root, as a rule, and not in every container."""
    if UNSHARE is None:
        return False
    return (
        subprocess.run([*IN_A_NETWORK_OF_ITS_OWN, "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not can_have_a_network(), reason="no network namespace can be made here (unshare --net)")
def test_a_caller_of_the_internet_gets_403_and_one_of_this_machine_its_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [*IN_A_NETWORK_OF_ITS_OWN, sys.executable, "-m", "support.foreign_caller", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"127.0.0.1": 200, foreign_caller.FOREIGN: 403}
