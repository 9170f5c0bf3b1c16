"""Writes the parts of the documentation that the code itself knows best.

Each function returns Markdown; :func:`write` puts all of it into ``docs/generated``, where the
pages include it.
"""

from __future__ import annotations

import ast
import json
import os
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Computation beyond the front door, drawer by drawer, in reading order.
MODULES = {
    "Signals and connectivity": (
        "fc.quality fc.motion fc.coverage fc.censoring fc.strategies fc.denoising fc.subcortex "
        "fc.connectivity fc.estimators fc.networks fc.qcfc fc.places "
        "fc.voxelwise fc.profiles fc.seed_maps fc.smoothing fc.clusters fc.react"
    ),
    "The trial": (
        "trial.visits trial.rules trial.scoring trial.endpoints trial.courses trial.baseline trial.flow "
        "trial.safety trial.periods trial.matching trial.regimens "
        "trial.compartments trial.batches "
        "trial.pharmacokinetics trial.exposure trial.variability trial.measured trial.time_course"
    ),
    "Statistics": (
        "stats.design stats.mixed stats.mmrm stats.model_fit stats.edgewise stats.permutation "
        "stats.network_permutation stats.exchange stats.compare stats.ancova stats.anova "
        "stats.crossover stats.survival stats.ordinal stats.imputation stats.association stats.proportions stats.exact stats.logistic "
        "stats.equivalence stats.reliability stats.edge_reliability stats.standardise "
        "stats.multiplicity"
    ),
    "A simulated trial": "simulate.design simulate.trial simulate.signals simulate.images",
}
#: The demo's study file in pieces, each with the tables that belong to it.
DEMO_PIECES = {
    "data": ("study", "data"),
    "design": ("design", "visit", "groups"),
    "parcels": ("atlas", "sets", "censoring"),
    "endpoints": ("scales", "endpoints"),
    "hypotheses": ("hypothesis",),
    "further": ("clinical", "comparison", "exploration"),
    "models": ("model", "family"),
}


def write(folder: Path) -> None:
    """Write every fragment, leaving files alone that would not change."""
    from connectrial.study import json_schema

    folder.mkdir(exist_ok=True)
    pages = {
        "_study_keys.md": study_keys(json_schema()),
        "_estimate_columns.md": estimate_columns(),
        "_strategies.md": strategies(),
        "_references.md": references(),
        "_commands.md": commands(),
        "modules.md": modules(),
        "study.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }
    pages |= {f"_demo_{name}.md": text for name, text in demo_pieces().items()}
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------------------------------
# The study file
# ---------------------------------------------------------------------------------------------


def study_keys(schema: dict[str, Any]) -> str:
    """Describe every table of the study file and every key in it."""
    parts = ["Before any table: `extends`, " + _lower(schema["properties"]["extends"]) + ".\n"]
    for name, value in schema["properties"].items():
        if name == "extends":
            continue
        section, shape = _section(value, schema)
        heading = {"one": f"[{name}]", "list": f"[[{name}]]", "named": f"[{name}.NAME]"}[shape]
        needed = "needed" if name in schema["required"] else "may be left out"
        times = {"one": "", "list": "; as often as there are any", "named": "; one for each NAME"}
        parts += [
            f"## `{heading}`\n",
            f"{section['description'].strip()} *({needed}{times[shape]})*\n",
            _key_table(section, schema),
        ]
        for key, inner, is_list in _inner_sections(section, schema):
            place = f"{name}.NAME" if shape == "named" else name
            heading = f"[[{place}.{key}]]" if is_list else f"[{place}.{key}]"
            often = "; as often as there are any" if is_list else ""
            parts += [
                f"### `{heading}`\n",
                f"{inner['description'].strip()} *(may be left out{often})*\n",
                _key_table(inner, schema),
            ]
    return "\n".join(parts)


def _lower(value: dict[str, Any]) -> str:
    text = value["description"]
    return text[0].lower() + text[1:]


def _resolve(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in value:
        found: dict[str, Any] = schema["$defs"][value["$ref"].rpartition("/")[2]]
        return found
    return value


def _section(value: dict[str, Any], schema: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a table's own schema, and whether it stands once, in a list or under names."""
    if "items" in value:
        return _resolve(value["items"], schema), "list"
    if isinstance(value.get("additionalProperties"), dict):
        return _resolve(value["additionalProperties"], schema), "named"
    for option in value.get("anyOf", [value]):
        if "$ref" in option:
            return _resolve(option, schema), "one"
    raise ValueError(f"a table of the study file without a schema: {value}")


def _inner_sections(
    section: dict[str, Any], schema: dict[str, Any]
) -> list[tuple[str, dict[str, Any], bool]]:
    """Return tables inside a table, [data.filters], and lists of them, [[data.table]]."""
    found = [
        (key, _resolve(value["items"], schema), True)
        for key, value in section["properties"].items()
        if "$ref" in value.get("items", {})
    ]
    return found + [
        (key, inner, False)
        for key, value in section["properties"].items()
        if (inner := _optional_table(value, schema)) is not None
    ]


def _optional_table(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of a key that holds one table, or a list in its place, or nothing."""
    options = [one for one in value.get("anyOf", []) if one.get("type") != "null"]
    tables = [one for one in options if "$ref" in one]  # a list may stand in a table's place
    if len(tables) != 1 or any(one.get("type") != "array" for one in options if one not in tables):
        return None
    inner = _resolve(tables[0], schema)
    return inner if "properties" in inner else None


def _key_table(section: dict[str, Any], schema: dict[str, Any]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in section["properties"].items():
        needed = key in section.get("required", [])
        default = "**needed**" if needed else _default(value.get("default"))
        cells = [f"`{key}`", _type(value, schema), default, _escape(value.get("description", ""))]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    """Keep stars and angle brackets from being read as markup."""
    return text.replace("*", "\\*").replace("<", "&lt;")


def _default(value: Any) -> str:
    if value is None or value == [] or value == {} or value == "":
        return "–"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(value: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say in words what a key may hold."""
    if _optional_table(value, schema) is not None:
        return "table, see below"
    value = _resolve(value, schema)
    if "anyOf" in value:
        options = [_type(one, schema) for one in value["anyOf"] if one.get("type") != "null"]
        return " or ".join(options)
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    kind = value.get("type")
    if kind == "array" and "prefixItems" in value:
        return f"[{', '.join(_type(one, schema) for one in value['prefixItems'])}]"
    if kind == "array" and "$ref" in value["items"]:
        return "list of tables, see below"
    if kind == "array":
        least = f", {value['minItems']} or more" if value.get("minItems") else ""
        return f"list of {_type(value['items'], schema)}{least}"
    if kind == "object" and "properties" in value:
        return "{" + ", ".join(f"{key} = …" for key in value["properties"]) + "}"
    if kind == "object" and "additionalProperties" not in value:
        return "table"
    if kind == "object":
        return f"table of {_type(value['additionalProperties'], schema)}"
    words = {
        "string": "text",
        "number": "number",
        "integer": "whole number",
        "boolean": "true/false",
    }
    return words[str(kind)] + _bounds(value)


def _bounds(value: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f" {', '.join(found)}" if found else ""


# ---------------------------------------------------------------------------------------------
# Other tables
# ---------------------------------------------------------------------------------------------


def demo_pieces() -> dict[str, str]:
    """Cut the demo's study file into pieces; a table that no piece names stands in the last."""
    path = files("connectrial") / "templates" / "demo-study.toml"
    found: dict[str, list[str]] = {name: [] for name in DEMO_PIECES}
    blocks = re.split(r"^(?=\[)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for block in blocks[1:]:
        table = re.split(r"[.\]]", block.lstrip("["), maxsplit=1)[0]
        piece = next((n for n, tables in DEMO_PIECES.items() if table in tables), "models")
        found[piece].append(block.strip())
    return {name: "```toml\n" + "\n\n".join(b) + "\n```\n" for name, b in found.items()}


def estimate_columns() -> str:
    """List the columns of every estimate."""
    from connectrial.results import DICTIONARY

    lines = ["| column | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in DICTIONARY.items()]
    return "\n".join(lines) + "\n"


def strategies() -> str:
    """List the sets of confounds."""
    from connectrial.fc.strategies import STRATEGIES

    lines = ["| strategy | confounds | when |", "|---|---|---|"]
    for one in STRATEGIES.values():
        n = str(len(one.columns)) + (f" + {2 * one.n_compcor}" if one.n_compcor else "")
        name = f"`{one.name}`" + (" (the default)" if one.recommended else "")
        lines.append(f"| {name} | {n} | {one.reason} |")
    return "\n".join(lines) + "\n"


def references() -> str:
    """List the works that a report may cite."""
    path = files("connectrial") / "templates" / "references.json"
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    lines = [f"- {_linked(text)}" for text in sorted(known.values(), key=str.casefold)]
    return "\n".join(lines) + "\n"


def _linked(text: str) -> str:
    before, found, doi = text.partition("doi:")
    text = before.replace("<", "&lt;")
    return (
        f"{text}doi:[{doi}](<https://doi.org/{doi.replace('<', '%3C').replace('>', '%3E')}>)"
        if found
        else text
    )


def commands() -> str:
    """Print the help of every command, as a terminal of 88 columns shows it."""
    import typer.main

    from connectrial.cli import app

    os.environ.setdefault("NO_COLOR", "1")
    group = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        context = typer.Context(command, info_name=f"connectrial {name}", terminal_width=88)
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## `connectrial {name}`\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


def modules() -> str:
    """List what is public in each computing module, for autosummary to take up."""
    parts = [
        "# Everything that computes\n",
        "Behind the front door: the modules of the drawers `fc`, `trial` and `stats`, and the "
        "simulated trial. Their names may still change.\n",
    ]
    for title, text in MODULES.items():
        parts.append(f"## {title}\n")
        for module in text.split():
            names = _public(f"connectrial.{module}")
            if names:
                listed = "\n".join(f"   {name}" for name in names)
                parts.append(
                    f"### `connectrial.{module}`\n\n```{{eval-rst}}\n"
                    f".. currentmodule:: connectrial.{module}\n\n.. autosummary::\n"
                    f"   :toctree: api\n   :nosignatures:\n\n{listed}\n```\n"
                )
    return "\n".join(parts)


def _public(module: str) -> list[str]:
    """Return the public functions and classes that a module defines itself, in its order."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return []
    if spec is None or spec.origin is None:
        return []
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node)
    ]
