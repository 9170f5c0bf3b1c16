"""How heavy a report is, how fast it opens in Chromium, and how long it takes to make.

    python bench/bench_report.py NAME=OUT [NAME=OUT ...]

OUT is the folder of a run. Without any, the demo is run in a temporary folder. The time from saved
results to a page is that of ``connectrial report OUT --no-pages``, start of Python included, with the
two processes that it takes by itself: the least of two, after one that draws the figures that
changed. CPU seconds of all processes stand beside it, since other work on a machine shifts them less.
Loading is from file:// to the load event and the first frame after it, the least of three.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST_MB, MOST_S = 15.0, 20.0


def main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folders = dict(word.split("=", 1) for word in words)
        if not folders:
            out = Path(scratch) / "demo"
            subprocess.run([sys.executable, "-m", "connectrial", "demo", str(out)], check=True)
            folders = {"demo": str(out / "results")}
        print("| report | MB | opens in, s | results to page, s | CPU of all processes, s | met |")
        print("|---|---|---|---|---|---|")
        for name, folder in folders.items():
            print(measure(name, Path(folder), Path(scratch)))


def measure(name: str, folder: Path, scratch: Path) -> str:
    # A copy: without pages those of the run would be taken away.
    folder = Path(shutil.copytree(folder, scratch / f"copy of {name}"))
    command = [sys.executable, "-m", "connectrial", "report", str(folder), "--no-pages"]
    times = []
    for _ in range(3):
        started, before = time.perf_counter(), spent()
        subprocess.run(command, check=True, capture_output=True)
        times.append((time.perf_counter() - started, spent() - before))
    wall, used = min(times[1:])
    page = folder / "report.html"
    megabytes = page.stat().st_size / 1e6
    loads = opened(page, scratch)
    met = "yes" if megabytes <= MOST_MB and wall < MOST_S else "**no**"
    return f"| {name} | {megabytes:.1f} | {loads} | {wall:.1f} | {used:.1f} | {met} |"


def spent() -> float:
    """Return the CPU seconds of the processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def opened(page: Path, scratch: Path) -> str:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        return "no Chromium"
    times = []
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program)
        for _ in range(3):
            tab = browser.new_context(offline=True).new_page()
            started = time.perf_counter()
            tab.goto(page.resolve().as_uri(), wait_until="load")
            tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
            times.append(time.perf_counter() - started)
            tab.context.close()
        browser.close()
    return f"{min(times):.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
