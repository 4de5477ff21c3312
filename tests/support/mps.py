"""A scripted ``nvidia-cuda-mps-control``: it answers as the vendor's does; there is no daemon behind it."""

from __future__ import annotations

from pathlib import Path

_SCRIPT = """\
#!/bin/sh
state="$CUDA_MPS_PIPE_DIRECTORY/running"
if [ "$1" = "-d" ]; then
    if [ -e "{refusal}" ]; then cat "{refusal}"; exit 1; fi
    if [ -e "$state" ]; then echo "An instance of this daemon is already running"; exit 1; fi
    echo "start $CUDA_VISIBLE_DEVICES" >> "{said}"
    echo "$CUDA_VISIBLE_DEVICES" > "$state"
    exit 0
fi
read line
if [ ! -e "$state" ]; then echo "Cannot find MPS control daemon process"; exit 1; fi
case "$line" in
    get_server_list) ;;
    quit*) echo "$line $(cat "$state")" >> "{said}"; rm "$state" ;;
    *) exit 2 ;;
esac
"""


class ScriptedMps:
    """The program, and what was said to it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "nvidia-cuda-mps-control"
        self._refusal, self._said = directory / "refusal", directory / "said"
        self.path.write_text(_SCRIPT.format(refusal=self._refusal, said=self._said))
        self.path.chmod(0o755)

    @property
    def said(self) -> list[str]:
        """Starts and ends, in their order."""
        return self._said.read_text().splitlines() if self._said.exists() else []

    def refuse(self, why: str) -> None:
        """It starts no more."""
        self._refusal.write_text(why + "\n")
