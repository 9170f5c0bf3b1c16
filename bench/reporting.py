"""What the scripts of this folder share: Markdown tables, the machine in words, progress."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table; every cell as `str` has it."""
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def describe_machine() -> str:
    """Say what kind of machine this is, without a name."""
    facts: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    vendor = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(facts.get("vendor_id", ""), "")
    family = facts.get("cpu family", "")
    cores = text.count("processor\t:") or "unknown number of"
    what = " ".join(part for part in (vendor, f"CPU family {family}" if family else "") if part)
    return f"{platform.machine()}, {cores} cores, {what or 'CPU unknown'}"


def describe_versions(*packages: str) -> str:
    """Name Python and packages with their versions."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    )


def describe_command(script: str) -> str:
    """Give the command that is running, as one types it at the root of the repository."""
    said, words = [], iter(sys.argv[1:])
    for word in words:
        if word == "--only-done":
            continue
        if word.split("=")[0] in ("--resume", "--output", "--raw", "--rule"):  # where, not what
            if "=" not in word:
                next(words, None)
        else:
            said.append(word)
    return " ".join(["python", f"bench/{Path(script).name}", *said])


def publish(text: str, path: Path, *, keep: str | None = None) -> None:
    """Print a page and write it; a last section under the heading `keep` stays as it stood."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if keep and path.is_file() else ""
    _, heading, section = before.partition(f"\n{keep}\n")
    path.write_text(f"{text.rstrip()}\n{heading}{section}", encoding="utf-8")
    print(text)


def publish_section(text: str, path: Path) -> None:
    """Print a section and put it, by its heading, at the end of a page in place of its old self."""
    heading = text.partition("\n")[0]
    before = path.read_text(encoding="utf-8") if path.is_file() else "# Benchmarks\n"
    head = before.partition(f"\n{heading}\n")[0].rstrip()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}\n\n{text.rstrip()}\n", encoding="utf-8")
    print(text)


class Progress:
    """One line on standard error for each step, with the seconds since the start."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.start

    def say(self, text: str) -> None:
        """Tell what is being done."""
        print(f"[{self.seconds:7.1f} s] {text}", file=sys.stderr, flush=True)
