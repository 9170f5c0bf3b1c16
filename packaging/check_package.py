"""Build wheel and sdist, install the wheel into empty environments, and try it there (make package).

    python packaging/check_package.py --python 3.11 --python 3.13

Interpreters are found, or fetched, by uv. Needs the packages build and uv.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CARRIED = (
    "connectrial/py.typed",
    "connectrial/templates/report.html",
    "connectrial/templates/demo-study.toml",
    "connectrial/templates/regimens/siegel-96h.toml",
    "connectrial/scale_files/madrs.toml",
    "connectrial/atlases/gordon333.tsv",
    "connectrial/atlases/fetch.tsv",
)
TRIED = (
    ("--version",),
    ("--help",),
    ("atlases",),
    ("schema",),
    ("dose", "siegel-96h", "--times", "24h"),
    ("dose", "--list"),
)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def call(*words: object) -> str:
    # The wheel is tried, and nothing that the caller's environment would put before it.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = tuple(map(str, words))
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=bare)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def build(folder: Path) -> Path:
    call(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    lost = [name for name in CARRIED if name not in inside]
    own = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "connectrial").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    lost += sorted(own - inside)
    foreign = [name for name in inside - own if ".dist-info/" not in name]
    if lost or foreign:
        raise SystemExit(f"{wheel.name}: lacks {lost[:5]}, has in addition {foreign[:5]}")
    with tarfile.open(source) as archive:
        names = [name.split("/", 1)[-1] for name in archive.getnames()]
    for name in ("pyproject.toml", "README.md", "LICENSE", "tests/tiny.py"):
        if name not in names:
            raise SystemExit(f"{source.name}: lacks {name}")
    say(
        f"{wheel.name}: {wheel.stat().st_size // 1000} kB, {len(inside)} files; {source.name} is whole"
    )
    return wheel


def try_on(version: str, wheel: Path, folder: Path, *, oldest: bool = False) -> bool:
    """Install the wheel with the newest dependencies, or the oldest admitted, and try it."""
    uv = (sys.executable, "-m", "uv")
    home = folder / f"python{version}{'-oldest' if oldest else ''}"
    made = subprocess.run([*uv, "venv", "--quiet", "--python", version, str(home)], check=False)
    if made.returncode:
        say(f"Python {version}: not there, and cannot be fetched; nothing was tried on it")
        return False
    python = home / "bin" / "python"
    install = (*uv, "pip", "install", "--quiet", "--python", python)
    if oldest:
        listed = folder / "oldest.txt"
        lowest = ("--resolution", "lowest-direct", "--python-version", version)
        call(*uv, "pip", "compile", "--quiet", *lowest, ROOT / "pyproject.toml", "-o", listed)
        call(*install, "-r", listed)
        call(*install, "--no-deps", wheel)
    else:
        call(*install, wheel)
    program = home / "bin" / "connectrial"
    for words in TRIED:
        if not call(program, *words):
            raise SystemExit(f"connectrial {' '.join(words)} said nothing")
    call(home / "bin" / "connectrial-bids-app", "--help")
    # The whole way, from files to report, with whatever versions were resolved for this Python.
    began = time.monotonic()
    call(program, "demo", home / "demo", "--n-jobs", "1")
    lasted = time.monotonic() - began
    (page,) = (home / "demo" / "results").glob("report.html")
    n = len(call(*uv, "pip", "list", "--python", python).splitlines()) - 2
    say(
        f"{call(python, '--version')}: installed with {n} packages"
        f"{', the oldest that pyproject.toml admits' if oldest else ''}, {len(TRIED) + 1} commands "
        f"tried; demo in {lasted:.0f} s, report of {page.stat().st_size / 1e6:.1f} MB"
    )
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", help="version, such as 3.12; repeat")
    parser.add_argument("--oldest", help="version on which the oldest dependencies are tried too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        versions = given.python or [f"{sys.version_info[0]}.{sys.version_info[1]}"]
        if not sum(try_on(version, wheel, folder) for version in versions):
            raise SystemExit("the wheel was tried on no Python")
        if given.oldest:
            try_on(given.oldest, wheel, folder, oldest=True)


if __name__ == "__main__":
    main()
