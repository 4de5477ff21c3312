"""Makes sdk/python/eas_host/eas-sdk.jar of the sources in sdk/java: ``python scripts/java_sdk.py [TARGET]``.

The jar is kept in the repository, so that neither installing nor serving needs a compiler. It is the same to
the last byte for the same sources and compiler; its manifest says what it was made of (``digest``), and a
test compares that with the sources.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "sdk/java/src/main/java"
JAR = ROOT / "sdk/python/eas_host/eas-sdk.jar"
RELEASE = "8"  # processors that are compiled for Java 8 must be able to use it
_EPOCH = (1980, 1, 1, 0, 0, 0)


def sources() -> list[Path]:
    """The files that are compiled, in order."""
    return sorted(SOURCES.rglob("*.java"))


def digest() -> str:
    """SHA-256 of names and contents."""
    text = hashlib.sha256()
    for path in sources():
        text.update(f"{path.relative_to(SOURCES)}\0".encode() + path.read_bytes() + b"\0")
    return text.hexdigest()


def compiler() -> str:
    """The compiler's version, such as ``17``. Errors: FileNotFoundError when there is none."""
    said = subprocess.run(["javac", "-version"], check=True, capture_output=True, text=True)  # noqa: S607
    found = re.search(r"javac (?:1\.)?(\d+)", said.stdout + said.stderr)
    return found[1] if found else "unknown"


def make(target: Path) -> None:
    """Compile and pack. Errors: CalledProcessError, FileNotFoundError."""
    manifest = "\r\n".join(
        (
            "Manifest-Version: 1.0",
            f"Compiler: {compiler()}",
            f"Sources: {digest()}",
            "Automatic-Module-Name: eas.sdk",
            "",
            "",
        )
    )
    with tempfile.TemporaryDirectory(prefix="eas-sdk-") as scratch:
        options = (
            "--release",
            RELEASE,
            "-g:source,lines",
            "-Xlint:all,-options",
            "-Werror",
            "-encoding",
            "UTF-8",
        )
        subprocess.run(["javac", *options, "-d", scratch, *map(str, sources())], check=True)  # noqa: S607
        with zipfile.ZipFile(target, "w") as jar:
            _add(jar, "META-INF/MANIFEST.MF", manifest.encode())
            for path in sorted(Path(scratch).rglob("*.class")):
                _add(jar, str(path.relative_to(scratch)), path.read_bytes())


def _add(jar: zipfile.ZipFile, name: str, content: bytes) -> None:
    """One file without the time at which it was made."""
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    jar.writestr(entry, content)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else JAR)
