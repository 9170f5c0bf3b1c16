"""Study files and other settings: TOML and JSON of every ugliness."""

from __future__ import annotations

from pathlib import Path

from hostile.cases import Case, expand, file
from tiny import STUDY

S, BAD, OK = "StudyFileError", "InputError", "handled"
DEEP = 100_000


def changed(old: str, new: str) -> str:
    assert old in STUDY
    return STUDY.replace(old, new, 1)


def named(name: str) -> str:
    return changed('name = "Tiny trial"', f"name = {name}")


STUDIES: dict[str, tuple[bytes | str, str, str]] = {
    "empty": ("", S, "study"),
    "only a byte-order mark": (b"\xef\xbb\xbf", S, "study"),
    "only blanks": (" \n\t\n", S, "study"),
    "UTF-16": (STUDY.encode("utf-16"), S, "UTF-8"),
    "UTF-32": (STUDY.encode("utf-32"), S, "UTF-8"),
    "Latin-1 accents": (named('"Étude"').encode("latin-1"), S, "UTF-8"),
    "byte-order mark and CRLF": (b"\xef\xbb\xbf" + STUDY.replace("\n", "\r\n").encode(), OK, ""),
    "mixed line ends": (STUDY.replace("\n", "\r\n", 20), OK, ""),
    "bare CR line ends": (STUDY.replace("\n", "\r"), S, "not valid TOML"),
    "raw NUL": (named('"a\0b"'), S, "not valid TOML"),
    "escaped NUL": (named('"a\\u0000b"'), S, "control character U\\+0000"),
    "escaped escape": (named('"\\u001b[2Jgone"'), S, "control character U\\+001B"),
    "NUL in a path": (changed('"data"', '"da\\u0000ta"'), S, "control character U\\+0000"),
    "NUL in extends": ('extends = "a\\u0000b"', S, "control character"),
    "binary": (bytes(range(256)) * 8, S, "UTF-8"),
    "zip": (b"PK\x03\x04" + b"\0" * 60, S, "not valid TOML"),
    "arrays 10^5 deep": ("x = " + "[" * DEEP + "]" * DEEP, S, "nested too deeply"),
    "inline tables 10^4 deep": (
        "x = " + "{a=" * 10_000 + "1" + "}" * 10_000,
        S,
        "nested too deeply",
    ),
    "dotted keys 2,000 deep": (".".join(["a"] * 2000) + " = 1", S, "nested more than 50"),
    "whole number of 5,000 digits": (changed("seed = 1", "seed = " + "9" * 5000), S, "TOML"),
    "seed of 30 digits": (changed("seed = 1", "seed = " + "9" * 30), OK, ""),
    "negative seed": (changed("seed = 1", "seed = -1"), S, "seed"),
    "seed is text": (changed("seed = 1", 'seed = "one"'), S, "whole number"),
    "day 1e400": (changed("day = 30", "day = 1e400"), S, "day"),
    "day nan": (changed("day = 30", "day = nan"), S, "day"),
    "percent -inf": (changed("= 50", "= -inf"), S, "min_percent_decrease"),
    "name is a date": (named("2024-01-31"), S, "text in quotes"),
    "name is empty": (named('""'), S, "name"),
    "name is a list": (named('["a"]'), S, "text in quotes"),
    "name of a million letters": (named('"' + "x" * 1_000_000 + '"'), OK, ""),
    "name runs from right to left": (named('"\u202emoc.live"'), OK, ""),
    "name in HTML": (named('"<script>alert(1)</script>"'), OK, ""),
    "key twice": (changed("seed = 1", "seed = 1\nseed = 2"), S, "overwrite|TOML"),
    "section twice": (STUDY + "\n[quality]\ncarpets = true\n", S, "TOML"),
    "unknown key in HTML": (changed("seed = 1", '"<b>seed</b>" = 1'), S, "there is no key"),
    "20,000 unknown keys": (
        changed("seed = 1", "\n".join(f"k{n} = 1" for n in range(20_000))),
        S,
        "there is no key",
    ),
    "nothing but a number": ("5", S, "not valid TOML"),
    "sections are numbers": ("study = 1\ndata = 2\n", S, "table"),
    "visits are text": ('study = {name="a"}\nvisit = "before"', S, "visit"),
    "1,000 visits of one name": (
        STUDY + "\n".join('[[visit]]\nname = "v"\nsessions = ["x"]' for _ in range(1000)),
        S,
        "v",
    ),
    "formula that runs a program": (
        changed("visit * arm", "visit + __import__('os').system('touch pwned')"),
        S,
        "no part of the study declares",
    ),
    "formula that loads a file": (
        changed("visit * arm", "visit + np.load('evil.npy', allow_pickle=True)"),
        S,
        "no part of the study declares",
    ),
    "formula that crosses 26 variables": (
        changed("visit * arm", "*".join("abcdefghijklmnopqrstuvwxyz")),
        S,
        "crosses 26 variables",
    ),
    "pattern of parcels is no pattern": (changed("AMY-*", "[[[*"), OK, ""),
    "extends a device": ('extends = "/dev/zero"', S, "this is a device"),
    "extends itself": ('extends = "input.toml"', S, "circle"),
    "extends a list": ('extends = ["a", "b"]', S, "name of one file"),
    "extends what is not there": ('extends = "../../nowhere.toml"', S, "no such study file"),
    "environment variable that is not set": (
        changed('"data"', '"${CONNECTRIAL_SURELY_NOT_SET}/x"'),
        OK,
        "",
    ),
    "a JSON file": ('{"study": {"name": "a"}}', S, "not valid TOML"),
    "a web page": ("<!doctype html><html></html>", S, "not valid TOML"),
}

SCALE = """name = "S"
[items]
names = ["a", "b"]
minimum = 0
maximum = 4
"""
REGIMEN = "[[dose]]\nstart_h = 0\nduration_h = 1\namount_mg_kg = 0.5\n"
SCALES = {
    "sound": (SCALE, OK, ""),
    "empty": ("", BAD, "name"),
    "items is a number": ('name = "S"\nitems = 3', BAD, "items"),
    "maximum nan": (SCALE.replace("= 4", "= nan"), BAD, "maximum"),
    "minimum -inf": (SCALE.replace("= 0", "= -inf"), BAD, "minimum"),
    "score of items that are none": (
        SCALE + '[[scores]]\nname = "t"\nitems = [9]',
        BAD,
        "no item 9",
    ),
    "scores are text": ('scores = "total"\n' + SCALE, BAD, "scores"),
    "items of a score are a number": (SCALE + '[[scores]]\nname = "t"\nitems = 5', BAD, "items"),
    "bands are a table": (SCALE + "[bands]\nlevels = 3", BAD, "bands"),
    "levels of bands are text": (SCALE + '[[bands]]\nlevels = {a = "x"}', BAD, "levels"),
    "conventions of text": ('conventions = ["a"]\n' + SCALE, BAD, "conventions"),
    "alternatives are a number": (
        SCALE.replace("names", "alternatives = 3\nnames"),
        BAD,
        "alternatives",
    ),
    "below is text": (SCALE + '[[conventions]]\nname = "r"\nbelow = "x"', BAD, "below"),
}
REGIMENS = {
    "sound": (REGIMEN, OK, ""),
    "empty": ("", BAD, "dose"),
    "dose is a number": ("dose = 3", BAD, "dose"),
    "dose nan": (REGIMEN.replace("0.5", "nan"), BAD, "amount_mg_kg"),
    "dose 1e400": (REGIMEN.replace("0.5", "1e400"), BAD, "amount_mg_kg"),
    "dose of 400 digits": (REGIMEN.replace("0.5", "1" * 400), BAD, "amount_mg_kg"),
    "dose is text": (REGIMEN.replace("0.5", '"=1+1"'), BAD, "amount_mg_kg"),
    "dose is a table": (REGIMEN.replace("0.5", "{a = 1}"), BAD, "amount_mg_kg"),
    "negative duration": (REGIMEN.replace("duration_h = 1", "duration_h = -1"), BAD, "duration_h"),
    "times without end": ("times_h = [inf]\n" + REGIMEN, BAD, "times_h"),
    "title is a list": ("title = []\n" + REGIMEN, BAD, "title"),
    "UTF-16": (REGIMEN.encode("utf-16"), BAD, "UTF-8"),
}
TRUTHS = {
    "empty": ("", OK, ""),
    "unknown section": ("[nothing]\na = 1", S, "nothing"),
    "section is a number": ("fc = 3", S, "fc"),
    "cohort is a table": ("[cohort]\nn = 3", S, "cohort"),
    "number nan": ("[fc]\nwithin = nan", S, "within"),
    "count of 30 digits": ("[fc]\nn_frames = " + "9" * 30, S, "n_frames"),
    "deep": ("x = " + "[" * DEEP, BAD, "nested too deeply"),
}
FILTERS = {
    "empty": ("", BAD, "not valid JSON"),
    "number": ("3", BAD, "must be an object"),
    "10^5 deep": ("[" * DEEP, BAD, "nested too deeply"),
    "number of 5,000 digits": ('{"bold": {"run": ' + "9" * 5000 + "}}", BAD, "JSON"),
    "NaN": ('{"bold": {"run": NaN}}', BAD, "label"),
    "list in a list": ('{"bold": {"task": [["rest"]]}}', BAD, "label"),
    "key twice": ('{"bold": {"task": "a", "task": "b"}}', OK, ""),
    "UTF-16": ('{"bold": {}}'.encode("utf-16"), BAD, "UTF-8"),
    "lone surrogate": ('{"bold": {"task": "\\ud800"}}', OK, ""),
}
DESCRIPTIONS = {
    "list": ("[]", BAD, "must be an object"),
    "null": ("null", BAD, "must be an object"),
    "cut off": ('{"Name": "a', BAD, "not valid JSON"),
    "600 deep": ('{"a":' * 600 + "1" + "}" * 600, BAD, "nested"),
}


def long_name(folder: Path) -> Path:
    return file("a" * 250 + ".toml", STUDY)(folder)


CASES = [
    *expand("study file", "study", ".toml", STUDIES),
    *expand("scale file", "scale", ".toml", SCALES),
    *expand("dose plan", "regimen", ".toml", REGIMENS),
    *expand("truth file", "truth", ".toml", TRUTHS),
    *expand("filter file", "filters", ".json", FILTERS),
    *expand("dataset description", "description", ".json", DESCRIPTIONS),
    Case("study file", "name of 255 letters", "study", long_name, OK),
    Case("study file", "name of 300 letters", "study", lambda f: f / ("a" * 300), S, "too long"),
]
