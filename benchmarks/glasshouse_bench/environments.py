"""The peers' own environments under `benchmarks/.env-*`: made once, from PyPI and npm, never shared with Glasshouse's.

It knows how to install, not how to start. What cannot be installed raises Unavailable with the reason for the table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from glasshouse_bench.setup import ROOT


class Unavailable(Exception):
    """A contestant cannot be measured here; the message says why."""


def xllamacpp() -> Path:
    """The Python of an environment with xllamacpp."""
    return _python("xllamacpp", ["xllamacpp"])


def llama_cpp_python() -> Path:
    """The Python of an environment with the llama-cpp-python of the same version as Glasshouse's, and its servers."""
    ours = f"llama-cpp-python[server]=={version('llama-cpp-python')}"
    return _python("llama-cpp-python", [ours, "openai", "safetensors", "websockets"])


def node() -> Path:
    """A folder with node-llama-cpp in its node_modules."""
    return _once("node", lambda folder: make_node_folder(folder, ["node-llama-cpp"]))


def llama_cpp_source() -> Path:
    """The source distribution of our llama-cpp-python: its example server, and llama.cpp as our engine was built of."""

    def install(folder: Path) -> None:
        name = f"llama-cpp-python=={version('llama-cpp-python')}"
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-d", str(folder), name]
        _run(pip)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
        next(folder.glob("llama_cpp_python-*/")).rename(folder / "source")

    return _once("llama-cpp-source", install) / "source"


def llama_server() -> Path:
    """llama.cpp's own server, compiled here for this processor, as llama-cpp-python's engine is."""
    _need("cmake", "c++")
    source = llama_cpp_source() / "vendor" / "llama.cpp"

    def install(folder: Path) -> None:
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_OPENSSL=OFF"]
        options += ["-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF"]
        jobs = str(os.cpu_count() or 1)
        _run(["cmake", "-S", str(source), "-B", str(folder), *generator, *options])
        _run(["cmake", "--build", str(folder), "--target", "llama-server", "--parallel", jobs])

    return _once("llama-server", install) / "bin" / "llama-server"


def installed_version(python: Path, package: str) -> str:
    """The version of a package in an environment."""
    script = f"from importlib.metadata import version; print(version({package!r}))"
    return _run([str(python), "-c", script]).strip()


def make_python(folder: Path, packages: list[str]) -> None:
    """A virtual environment with packages of PyPI."""
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages])


def make_node_folder(folder: Path, packages: list[str]) -> None:
    """A folder with packages of npm in its node_modules."""
    _need("node", "npm")
    (folder / "package.json").write_text('{"private": true}\n')
    _run(["npm", "install", "--omit=dev", "--no-audit", "--no-fund", *packages], cwd=folder)


def make_once(folder: Path, install: Callable[[Path], None]) -> Path:
    """Make the folder `.env-<name>`; a mark in it says that it is complete. A half-made one is made anew."""
    mark = folder / ".complete"
    if not mark.exists():
        print(f"Installing {folder.name.removeprefix('.env-')} …", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        install(folder)
        mark.touch()
    return folder


def _python(name: str, packages: list[str]) -> Path:
    return _once(name, lambda folder: make_python(folder, packages)) / "bin" / "python"


def _once(name: str, install: Callable[[Path], None]) -> Path:
    return make_once(ROOT / f".env-{name}", install)


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed here")


def _run(command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{Path(command[0]).name} {command[1]} failed: {lines[-1]}")
    return done.stdout
