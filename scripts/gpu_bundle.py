"""A folder for a machine with a card and without a network: the source, and the wheels that it lacks.

The machine has Python 3.12, torch and NVML's package; everything else comes along, in the versions and with
the hashes of requirements/. ``gpu-check.sh`` in the folder installs it and runs ``eas-bench gpu-check``.

Usage: scripts/gpu_bundle.py [FOLDER] [--python 3.12]; the folder must be new, or made by this.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 60_000_000
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux1_x86_64")
BEYOND_CORE = ("numpy", "hdrhistogram", "pbr")
"""What ``eas-bench gpu-check`` needs besides the engine."""

_MARK = "made-by-gpu-bundle"
_README = """\
Copy this folder to the machine with the card and call

    ./gpu-check.sh

(PYTHON=/path/to/python if the one that has torch isn't python3). It needs no network and takes less than
eight minutes after the first half minute. The table is printed; results/ has it as JSON, with a picture.
"""


def main() -> None:
    """Make it, and say how large it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "gpu-bundle")
    parser.add_argument("--python", default="3.12", help="of the machine with the card")
    asked = parser.parse_args()
    size = make(asked.folder, asked.python)
    print(f"{asked.folder}: {size / 1e6:.1f} MB; README says how it is used")
    if size > MOST_BYTES:
        sys.exit(f"that is more than {MOST_BYTES / 1e6:.0f} MB")


def make(folder: Path, python: str) -> int:
    """Make the folder for a version of Python; its bytes. Exits with a message when it is somebody's."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        sys.exit(f"{folder} has something else in it: name a new folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    (folder / "README").write_text(_README)
    _copy_source(folder / "source")
    shutil.copy2(ROOT / "scripts" / "gpu-check.sh", folder)
    pinned = (ROOT / "requirements" / name for name in ("core.txt", "build.txt", "test.txt"))
    core, build, rest = (list(blocks(path.read_text())) for path in pinned)
    beyond = [block for block in rest if name_of(block) in BEYOND_CORE]
    _download(folder / "wheels", chosen([*core, *build, *beyond], python), python)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def blocks(pinned: str) -> Iterator[str]:
    """The requirements of a pinned file, each with its hashes. Pure."""
    block: list[str] = []
    for line in pinned.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        block.append(line)
        if not line.endswith("\\"):
            yield "\n".join(block)
            block = []


def name_of(block: str) -> str:
    """The package of a block."""
    return _requirement(block).name


def chosen(pinned: Iterable[str], python: str) -> list[str]:
    """Those for Linux and a version of Python, each once, without its marker. Pure."""
    where = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
    }
    found: dict[str, str] = {}
    for block in pinned:
        requirement = _requirement(block)
        if requirement.marker is None or requirement.marker.evaluate(where):
            first, *hashes = block.splitlines()
            first = f"{requirement.name}{requirement.specifier} \\"
            found[requirement.name] = "\n".join([first, *hashes])
    return list(found.values())


def _requirement(block: str) -> Requirement:
    return Requirement(block.splitlines()[0].rstrip("\\").strip())


def _copy_source(folder: Path) -> None:
    """What git has or will have; no pictures, no tests, no kept results."""
    git = shutil.which("git") or sys.exit("git isn't installed: it says which files are the source")
    command = [git, "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if name.startswith(("tests/", "docs/", "benchmarks/results/")) or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _download(folder: Path, requirements: Iterable[str], python: str) -> None:
    """Wheels only, for that Python on x86-64, hashes checked."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join([*requirements, ""]))
        file.flush()
        target = [f"--platform={platform}" for platform in PLATFORMS]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", f"--python-version={python}", *target]
        subprocess.run([*command, "--require-hashes", "-r", file.name, "-d", str(folder)], check=True)


if __name__ == "__main__":
    main()
