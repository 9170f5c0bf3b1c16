"""What the source may not do, read from the source itself; and what the package carries."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "connectrial").rglob("*.py"))

# Module -> why it may not be imported. (joblib hands work to our own processes by pickle, which never
# reads a file of the user's.)
FORBIDDEN_MODULES = {
    "pickle": "unpickling runs what a file says",
    "cPickle": "unpickling runs what a file says",
    "dill": "unpickling runs what a file says",
    "cloudpickle": "unpickling runs what a file says",
    "shelve": "unpickling runs what a file says",
    "marshal": "loads code",
    "yaml": "YAML may construct objects; settings are TOML or JSON",
    "telnetlib": "no network",
    "ftplib": "no network",
}
# The only places that start another program, with lists of words and never through a shell.
MAY_START_PROGRAMS = {"cluster"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {
    ("os", "system"), ("os", "popen"), ("np", "load"), ("numpy", "load"), ("pd", "read_pickle"),
    ("pd", "eval"), ("joblib", "load"), ("joblib", "dump"), ("nib", "load"),
}  # fmt: skip


def faults(path: Path, tree: ast.AST) -> list[str]:
    found = []
    place = path.relative_to(ROOT)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [module] if module else [one.name for one in node.names]
            for name in names:
                top = name.split(".")[0]
                if top in FORBIDDEN_MODULES:
                    found.append(f"{place}:{node.lineno} imports {name}: {FORBIDDEN_MODULES[top]}")
                if top == "subprocess" and not MAY_START_PROGRAMS & set(place.parts):
                    found.append(f"{place}:{node.lineno} imports subprocess")
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
            found.append(f"{place}:{node.lineno} calls {function.id}")
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if (function.value.id, function.attr) in FORBIDDEN_ATTRIBUTES:
                found.append(f"{place}:{node.lineno} calls {function.value.id}.{function.attr}")
            if function.value.id == "tempfile" and function.attr == "mktemp":
                found.append(f"{place}:{node.lineno} calls tempfile.mktemp")
        for keyword in node.keywords:
            value = keyword.value
            is_true = isinstance(value, ast.Constant) and value.value is True
            if keyword.arg in ("shell", "allow_pickle") and not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                found.append(f"{place}:{node.lineno} passes {keyword.arg}")
            if keyword.arg == "unsafe" and is_true:
                found.append(f"{place}:{node.lineno} passes unsafe")
    return found


def test_nothing_is_unpickled_evaluated_or_handed_to_a_shell():
    assert len(SOURCES) > 200
    found = [fault for path in SOURCES for fault in faults(path, ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "eval('1')", "os.system('ls')", "np.load(p)",
        "import subprocess", "run(['a'], shell=True)", "load(p, allow_pickle=True)", "import yaml",
        "nib.load(path)",
    ],
)  # fmt: skip
def test_the_audit_sees_each(code):
    assert faults(ROOT / "src" / "connectrial" / "x.py", ast.parse(code))


def test_the_package_carries_what_it_needs():
    package = files("connectrial")
    for name in (
        "templates/report.html",
        "templates/report.css",
        "templates/regimens/siegel-96h.toml",
        "scale_files/madrs.toml",
        "atlases/gordon333.tsv",
        "atlases/fetch.tsv",
        "py.typed",
    ):
        assert (package / name).is_file(), name


def test_each_dependency_is_used_and_none_else():
    """Every library that is imported is declared, and every declared one is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.split(r"[<>=;\[ ]", one, maxsplit=1)[0].lower() for one in project["dependencies"]
    }
    for extra in project["optional-dependencies"].values():
        optional = {re.split(r"[<>=;\[ ]", one, maxsplit=1)[0].lower() for one in extra}
        declared |= {name for name in optional if name in ("dask", "distributed", "dask-jobqueue")}
    imported = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {one.name.split(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    import sys

    third = {name.lower() for name in imported - set(sys.stdlib_module_names) - {"connectrial"}}
    # Imported by another name than they are installed by.
    installed = {"vl_convert": "vl-convert-python", "pil": "pillow"}
    third = {installed.get(name, name) for name in third}
    allowed = declared | {name.replace("-", "_") for name in declared}
    # What declared libraries carry or stand on: typer, matplotlib, statsmodels, jinja2, pooch.
    carried = {"click", "mpl_toolkits", "patsy", "markupsafe", "requests", "_typeshed"}
    assert third - allowed - carried == set()
    used = {name.replace("-", "_") for name in third}
    assert {name.replace("-", "_") for name in declared} - used <= {
        "dask",
        "distributed",
        "dask_jobqueue",
    }


def test_container_recipes_install_the_package_alone_and_drop_root():
    text = (ROOT / "container" / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(":latest" not in line and ":" in line for line in lines if line.startswith("FROM"))
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == ["1000"]
    for line in lines:
        assert not line.startswith("ADD ")
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
    recipe = (ROOT / "container" / "connectrial.def").read_text()
    sections = re.findall(r"^%(\w+)", recipe, re.MULTILINE)
    known = {"files", "post", "environment", "runscript", "apprun", "test", "labels", "help"}
    assert set(sections) == known
    listed = re.search(r"%files\n(.*?)\n\n", recipe, re.DOTALL)
    assert listed is not None
    for line in listed[1].splitlines():
        assert (ROOT / line.split()[0]).exists(), line


def test_the_boutiques_descriptor_names_real_options():
    import typer

    from connectrial._version import __version__
    from connectrial.cli import bids

    descriptor = json.loads((ROOT / "packaging" / "boutiques.json").read_text())
    assert descriptor["tool-version"] == __version__
    command = typer.main.get_command(bids)
    options = {
        option
        for one in command.params
        for option in one.opts
        if option.startswith("--") and "_" not in option
    }
    described = {one.get("command-line-flag") for one in descriptor["inputs"]} - {None}
    assert described <= options
    for one in descriptor["inputs"]:
        assert one["value-key"] in descriptor["command-line"]


def test_the_shell_completes_commands():
    import os
    import subprocess
    import sys

    asked = {
        "_CONNECTRIAL_COMPLETE": "complete_bash",
        "COMP_WORDS": "connectrial ch",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from connectrial.cli import app; app(prog_name='connectrial')"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["check"], done.stderr
