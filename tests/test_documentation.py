"""The documentation covers the public names, every key of the study file and the demo's own."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

import connectrial
from connectrial.study import json_schema

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def fragments() -> ModuleType:
    """Load ``docs/fragments.py``, which writes what the code knows best into the documentation."""
    spec = importlib.util.spec_from_file_location("fragments", DOCS / "fragments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_front_door_lists_every_public_name():
    """What ``connectrial.__all__`` exports is what docs/api.md shows."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    of_package = re.findall(r"currentmodule:: connectrial\n(.*?)```", text, flags=re.DOTALL)
    listed = {name for block in of_package for name in re.findall(r"^   (\w+)$", block, re.M)}
    assert listed == set(connectrial.__all__) - {"__version__"}


def test_every_key_of_the_study_file_is_described(fragments):
    """Keys of the JSON Schema, section by section, each with words beside it."""
    text = fragments.study_keys(json_schema())
    schema = json_schema()
    sections = [name for name in schema["properties"] if name != "extends"]
    headings = re.findall(r"^## `\[+(\w+)", text, flags=re.MULTILINE)
    assert headings == sections
    for definition in schema["$defs"].values():
        for key, value in definition["properties"].items():
            if definition.get("title") in {"RestOf"}:
                continue
            row = re.search(rf"^\| `{key}` \|.*\| (.+) \|$", text, flags=re.MULTILINE)
            assert row, f"{definition['title']}.{key} is not in the table"
            assert value.get("description"), f"{definition['title']}.{key} has no description"


def test_the_tutorial_shows_the_whole_demo_study_file(fragments):
    """The pieces, put together, are the demo's study file."""
    pieces = "\n".join(fragments.demo_pieces().values()).replace("```toml\n", "").replace("```", "")
    source = (files("connectrial") / "templates" / "demo-study.toml").read_text(encoding="utf-8")
    assert tomllib.loads(pieces) == tomllib.loads(source)


def test_every_command_has_its_help(fragments):
    """Commands of the program, each under its own heading and with its first sentence."""
    text = fragments.commands()
    for name in (
        "demo",
        "init",
        "check",
        "run",
        "report",
        "simulate",
        "dose",
        "atlases",
        "fetch",
        "schema",
    ):
        assert re.search(rf"## `connectrial {name}`\n\n```text\nUsage: connectrial {name}", text)
