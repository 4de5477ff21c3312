"""Compiles the path of a request when a wheel is built: a build hook of hatchling, and a script of its own.

mypyc (part of mypy) makes C extensions of annotated Python modules, which stay ordinary modules otherwise.
What is compiled is what every request passes through: ``COMPILED``, and what derives from it (canary and
shadow have clients of their own: a class that isn't compiled can't derive from one that is); and, apart from
it, ``HOST``, which must be whole without the engine. A host runs in the processor's own interpreter: one of
another kind doesn't see what was compiled, whose names say what it is for, and runs the sources beside it.

``EAS_ENGINE_COMPILE``: ``1`` the build fails when it can't compile, ``0`` it doesn't try. Unset, it tries,
says why when it can't (no C compiler, no headers of Python), and the wheel is pure Python. An editable
install never is compiled: an extension would hide the source beside it.

Usage: scripts/compile_wheel.py SOURCES INTO (exits with 0 when the extensions lie in INTO)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILED = (
    "eas_engine/request.py",
    "eas_engine/admission/backlog.py",
    "eas_engine/admission/budget.py",
    "eas_engine/admission/deadlines.py",
    "eas_engine/admission/gate.py",
    "eas_engine/admission/rate.py",
    "eas_engine/batching/batcher.py",
    "eas_engine/batching/cut.py",
    "eas_engine/batching/pace.py",
    "eas_engine/gateway/answering.py",
    "eas_engine/gateway/ending.py",
    "eas_engine/gateway/front.py",
    "eas_engine/gateway/head.py",
    "eas_engine/gateway/http.py",
    "eas_engine/gateway/inflating.py",
    "eas_engine/gateway/reply.py",
    "eas_engine/gateway/screen.py",
    "eas_engine/gateway/upload.py",
    "eas_engine/telemetry/counters.py",
    "eas_engine/workers/answers.py",
    "eas_engine/workers/batch_link.py",
    "eas_engine/workers/batch_pool.py",
    "eas_engine/workers/canary.py",
    "eas_engine/workers/credit.py",
    "eas_engine/workers/link.py",
    "eas_engine/workers/pool.py",
    "eas_engine/workers/shadow.py",
    "eas_engine/workers/slots.py",
    "eas_engine/workers/suspects.py",
)
HOST = (
    "eas_host/adapters/cpp_fast.py",
    "eas_host/batches.py",
    "eas_host/outbox.py",
    "eas_host/role.py",
    "eas_host/wire.py",
    "eas_host/worker.py",
)
_SOURCES = ("engine/eas_engine", "sdk/python/eas_host", "sdk/python/eas_sdk")
_LAST_LINES = 12


class CompileHook(BuildHookInterface[Any]):
    """What hatchling calls (``tool.hatch.build.targets.wheel.hooks.custom``)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell hatchling what to pack besides the sources."""
        choice = os.environ.get("EAS_ENGINE_COMPILE", "")
        if version == "editable" or choice == "0":
            return
        self._scratch = Path(tempfile.mkdtemp(prefix="eas-compile-"))
        built = self._scratch / "built"
        command = [sys.executable, __file__, self.root, str(built)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
            if choice == "1":
                raise RuntimeError(f"the engine could not be compiled:\n{why}")
            self.app.display_warning(f"not compiled, the engine will be slower:\n{why}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for extension in built.rglob("*.so"):
            build_data["force_include"][str(extension)] = str(extension.relative_to(built))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Tidy."""
        if hasattr(self, "_scratch"):
            shutil.rmtree(self._scratch, ignore_errors=True)


def compile_into(root: Path, into: Path) -> None:
    """Compile the modules under `root` into extensions under `into`, which lie as the packages do."""
    from mypyc.build import mypycify  # noqa: PLC0415 - a hook that isn't asked to compile needs neither
    from setuptools import setup  # noqa: PLC0415

    into = into.absolute()
    with tempfile.TemporaryDirectory(prefix="eas-sources-") as scratch:
        for source in _SOURCES:
            shutil.copytree(root / source, Path(scratch) / Path(source).name, ignore=_no_caches)
        os.chdir(scratch)  # module names are paths from here
        python = f"--python-version={sys.version_info.major}.{sys.version_info.minor}"
        # `make types` checks the types with everything installed; here only what is compiled is looked at.
        options = ["--config-file=", python, "--ignore-missing-imports", "--follow-imports=silent"]
        extensions = mypycify([*options, *COMPILED], opt_level="3", group_name="eas_engine_compiled")
        if not sysconfig.get_config_var(
            "Py_GIL_DISABLED"
        ):  # a host's threads count on lists that lock themselves
            extensions += mypycify([*options, *HOST], opt_level="3", group_name="eas_host.compiled")
        command = ["build_ext", f"--build-lib={into}", f"--build-temp={scratch}/build"]
        setup(name="eas-engine", ext_modules=extensions, packages=[], py_modules=[], script_args=command)


def _no_caches(_directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__" or name.endswith(".so")]


if __name__ == "__main__":
    compile_into(Path(sys.argv[1]), Path(sys.argv[2]))
