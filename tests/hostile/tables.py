"""Tables: clinical ones, series, matrices, confounds, parcels; text and workbooks."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl

from hostile.cases import Case, Content, expand, file

BAD, OK = "InputError", "handled"
ROWS = "participant_id\tarm\tage\nsub-01\tdrug\t30\nsub-02\tplacebo\t41\n"
MILLION = 1_000_000

TABLES: dict[str, tuple[bytes | str, str, str]] = {
    "empty": ("", BAD, "empty"),
    "only blank lines": ("\n\n  \n", BAD, "empty"),
    "only NUL bytes": (b"\0" * 100, BAD, "empty"),
    "only a byte-order mark": (b"\xef\xbb\xbf", BAD, "empty|no cell"),
    "only a header": ("a\tb\n", OK, "no rows"),
    "UTF-16 LE": (ROWS.encode("utf-16"), OK, "UTF-16"),
    "UTF-16 BE without mark": (ROWS.encode("utf-16-be"), OK, "UTF-16"),
    "UTF-16 cut in a letter": (ROWS.encode("utf-16")[:-1], BAD, "damaged"),
    "UTF-32": (ROWS.encode("utf-32"), OK, "UTF-32"),
    "Latin-1": ("id\tname\n1\tMüller\n".encode("latin-1"), OK, "Windows-1252"),
    "CR line ends": (ROWS.replace("\n", "\r"), OK, "CR"),
    "mixed line ends": ("a\tb\r\n1\t2\n3\t4\r5\t6\n", OK, ""),
    "NUL in a cell": (ROWS.replace("drug", "dr\0ug"), BAD, "binary"),
    "escape codes in the header": (ROWS.replace("arm", "\x1b[2Jarm"), BAD, "binary"),
    "binary": (bytes(range(256)), BAD, "binary"),
    "a web page": ("<html><body>404</body></html>", BAD, "web page"),
    "JSON": ('{"a": 1}', BAD, "JSON"),
    "a Git LFS pointer": ("version https://git-lfs.github.com/spec/v1\noid x\n", BAD, "LFS"),
    "old Excel": (b"\xd0\xcf\x11\xe0" + b"\0" * 600, BAD, "before 2007"),
    "PDF": (b"%PDF-1.4\n", BAD, "PDF"),
    "two columns of one name": ("a\tb\ta\n1\t2\t3\n", BAD, "more than once"),
    "names apart by blanks alone": ("a\t a\n1\t2\n", BAD, "more than once"),
    "a row too short": ("a\tb\n1\n", BAD, "row 2 has 1 cells"),
    "a row too long": ("a\tb\n1\t2\t3\n", BAD, "row 2 has 3 cells"),
    "open quotation mark": ('a,b\n"1,2\n3,4\n', BAD, "quotation mark"),
    "cell of a megabyte": ("a,b\n" + "x" * MILLION + ",1\n", BAD, "field"),
    "formulas in cells": ("id\tarm\n=cmd|' /C calc'!A0\t@SUM(A1)\n+1+1\t-2+3\n", OK, ""),
    "HTML in cells": ("id\tarm\n<script>alert(1)</script>\t<img src=x onerror=y>\n", OK, ""),
    "path in an id": ("participant_id\tarm\n../../etc/passwd\tdrug\n", OK, ""),
    "right to left": ("participant_id\tזרוע\nsub-אבג\tתרופה\n", OK, ""),
    "10^6 columns": ("\t".join(f"c{n}" for n in range(MILLION)) + "\n", BAD, "1,000,000 columns"),
    "10^5 rows": ("a\tb\n" + "1\t2\n" * 100_000, OK, ""),
}
NUMBERS = {
    "1e400": ("id\tage\n1\t1e400\n", BAD, "1e400"),
    "inf": ("id\tage\n1\tinf\n", BAD, "inf"),
    "NaN counts as missing": ("id\tage\n1\tNaN\n", OK, ""),
    "under_score": ("id\tage\n1\t1_000\n", BAD, "1_000"),
    "hexadecimal": ("id\tage\n1\t0x10\n", BAD, "0x10"),
    "a formula": ("id\tage\n1\t=1+1\n", BAD, "=1\\+1"),
    "a date": ("id\tage\n1\t2024-01-31\n", BAD, "2024-01-31"),
    "5,000 digits": ("id\tage\n1\t" + "9" * 5000 + "\n", BAD, "no number"),
    "decimal commas": ("id;age\n1;30,5\n", OK, ""),
    "thousands and decimals": ("id;age\n1;1.000,5\n", BAD, "no number"),
    "Arabic digits": ("id\tage\n1\t٣٠\n", OK, ""),
}
NAMES = "\t".join(f"P{n}" for n in range(5))
SERIES = NAMES + "\n" + "\n".join("\t".join(f"{n}.{m}" for m in range(5)) for n in range(6)) + "\n"
SERIES_ROWS = {
    "sound": (SERIES, OK, ""),
    "empty": ("", BAD, "empty"),
    "only a header": (NAMES, BAD, "no rows"),
    "inf": (SERIES.replace("3.3", "inf"), BAD, "infinite"),
    "1e400": (SERIES.replace("3.3", "1e400"), BAD, "infinite"),
    "word": (SERIES.replace("3.3", "x<y"), BAD, "no number"),
    "cut in a row": (SERIES[:-9], BAD, "cells"),
    "binary": (SERIES.encode() + b"\0\0", BAD, "binary"),
    "UTF-16": (SERIES.encode("utf-16"), OK, ""),
    "UTF-32": (SERIES.encode("utf-32"), OK, ""),
    "mixed line ends": (SERIES.replace("\n", "\r\n", 2), OK, ""),
    "names twice": (SERIES.replace("P1", "P0"), BAD, "more than once"),
    "quotation marks": (SERIES.replace("P1", '"P1"'), OK, ""),
    "10^6 columns": ("\t".join(f"c{n}" for n in range(MILLION)) + "\n1", BAD, "1,000,000 cells"),
}
R = np.corrcoef(np.random.default_rng(0).normal(size=(4, 30)))
MATRIX = "\n".join("\t".join(f"{x:.9f}" for x in row) for row in R)
MATRIX_NAMED = "a\tb\tc\td\n" + MATRIX
MATRICES = {
    "not square": (MATRIX_NAMED.rsplit("\n", 1)[0], BAD, "square"),
    "no names": (MATRIX, BAD, "names no parcels"),
    "r of 1e300": (MATRIX_NAMED.replace(f"{R[0, 1]:.9f}", "1e300"), BAD, "beyond"),
    "one number": ("5", BAD, "names no parcels"),
    "empty": ("", BAD, "empty"),
}
CONFOUNDS_NAMES = "trans_x\trot_x\tframewise_displacement"
CONFOUNDS = {
    "sound": (CONFOUNDS_NAMES + "\n0.1\t0.01\tn/a\n0.2\t0.01\t0.1\n", OK, ""),
    "empty": ("", BAD, "tab-separated|empty"),
    "only a header": (CONFOUNDS_NAMES + "\n", BAD, "no frames"),
    "column twice": ("trans_x\ttrans_x\n1\t2\n", BAD, "twice"),
    "word in a cell": (CONFOUNDS_NAMES + "\n0.1\tx\t0\n", BAD, "no number"),
    "row too long": (CONFOUNDS_NAMES + "\n0.1\t0\t0\t0\n", BAD, "tab-separated"),
    "degrees": (CONFOUNDS_NAMES + "\n0.1\t45\t0\n", BAD, "degrees"),
    "1e400": (CONFOUNDS_NAMES + "\n1e400\t0\t0\n", BAD, "infinite|finite"),
    "binary": (bytes(range(256)), BAD, "tab-separated|binary"),
    "UTF-16": ((CONFOUNDS_NAMES + "\n0\t0\t0\n").encode("utf-16"), BAD, "tab-separated|binary"),
    "open quotation mark": (CONFOUNDS_NAMES + '\n"0.1\t0\t0\n', BAD, "tab-separated|no number"),
    "NUL in the header": ("trans\0_x\n1\n", BAD, "tab-separated|binary"),
    "5,000 digits": (
        CONFOUNDS_NAMES + "\n" + "9" * 5000 + "\t0\t0\n",
        BAD,
        "infinite|no number|finite",
    ),
}
PARCELS = {
    "sound": ("index\tname\tnetwork\n1\tA\tX\n2\tB\tX\n", OK, ""),
    "empty": ("", BAD, "table"),
    "only a header": ("index\tname\n", BAD, "no parcel|no row|empty"),
    "index twice": ("index\tname\n1\tA\n1\tB\n", BAD, "twice"),
    "name twice": ("index\tname\n1\tA\n2\tA\n", BAD, "A"),
    "index 1.5": ("index\tname\n1.5\tA\n", BAD, "whole number"),
    "index of 30 digits": ("index\tname\n" + "9" * 30 + "\tA\n", BAD, "whole number|index"),
    "index 1e400": ("index\tname\n1e400\tA\n", BAD, "whole number"),
    "negative index": ("index\tname\n-3\tA\n", BAD, "index"),
    "no name": ("index\tname\n1\t\n", BAD, "no name"),
    "background that is none": ("index\tname\n0\tA\n", BAD, "background"),
    "neither name nor index": ("colour\nred\n", BAD, "neither parcel names"),
    "binary": (bytes(range(256)), BAD, "table"),
    "column twice": ("index\tname\tname\n1\tA\tB\n", BAD, "twice"),
}
EXCLUSIONS = {
    "no reason": ("subject\treason\n01\t\n", BAD, "no reason"),
    "no column": ("who\twhy\n01\tmoved\n", BAD, "missing"),
    "formula": ("subject\treason\n=1+1\t=cmd\n", OK, ""),
}
VOLUMES = {
    "one column": ("Measure:volume\nsub-01\n", BAD, "one column"),
    "negative": ("Measure:volume\tx\nsub-01\t-1\n", BAD, "-1"),
    "1e400": ("Measure:volume\tx\nsub-01\t1e400\n", BAD, "1e400"),
}


def workbook(*sheets: dict[str, object], merge: str = "") -> bytes:
    book = openpyxl.Workbook()
    for number, cells in enumerate(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        for place, value in cells.items():
            sheet[place] = value
        if merge:
            sheet.merge_cells(merge)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


SMALL = {"A1": "participant_id", "B1": "age", "A2": "sub-01", "B2": 30}
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]>"
)


def with_member(
    change: Callable[[str, bytes], bytes], *, n_parts: int = 0, bomb_bytes: int = 0
) -> Callable[[], bytes]:
    """Return what makes a small workbook with its members changed, and others added."""

    def make() -> bytes:
        stream = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(SOUND)) as old,
            zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for name in old.namelist():
                new.writestr(name, change(name, old.read(name)))
            for number in range(n_parts):
                new.writestr(f"p{number}", b"")
            if bomb_bytes:
                new.writestr("bomb", bytes(bomb_bytes))
        return stream.getvalue()

    return make


def laughing(name: str, content: bytes) -> bytes:
    if not name.endswith("sheet1.xml"):
        return content
    body = content.split(b"?>", 1)[-1] if content.startswith(b"<?xml") else content
    return LAUGHS.encode() + body


def encrypted(content: bytes) -> bytes:
    data = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


SOUND = workbook(SMALL)
WORKBOOKS: dict[str, tuple[Content, str, str]] = {
    "sound": (SOUND, OK, ""),
    "no cell": (workbook({}), BAD, "no sheet"),
    "merged cells": (workbook(SMALL, merge="A3:B3"), BAD, "merged"),
    "formula without value": (workbook({**SMALL, "B2": "=1+1"}), BAD, "formula without"),
    "two sheets": (workbook(SMALL, SMALL), BAD, "several sheets"),
    "a cell at the far corner": (workbook({**SMALL, "XFD1048576": 1}), BAD, "reaches to row"),
    "dates": (workbook({**SMALL, "B2": datetime.date(2024, 1, 31)}), OK, "ISO dates"),
    "an error in a cell": (workbook({**SMALL, "B2": "#REF!"}), OK, ""),
    "a billion laughs": (with_member(laughing), BAD, "entities"),
    "a bomb of 512 MB": (with_member(lambda n, c: c, bomb_bytes=1 << 29), BAD, "unpacks to"),
    "a sheet of 100 MB": (
        with_member(lambda n, c: c + b" " * 100_000_000 if n.endswith("sheet1.xml") else c),
        BAD,
        "unpacks to",
    ),
    "3,000 parts": (
        with_member(lambda n, c: c, n_parts=3000),
        BAD,
        "parts",
    ),
    "cut in half": (SOUND[: len(SOUND) // 2], BAD, "no readable Excel"),
    "encrypted members": (encrypted(SOUND), BAD, "no readable Excel"),
    "no workbook inside": (with_member(lambda n, c: b""), BAD, "no readable Excel"),
    "damaged sheet": (
        with_member(lambda n, c: c[:-80] if n.endswith("sheet1.xml") else c),
        BAD,
        "no readable Excel",
    ),
    "a plain zip": (b"PK\x03\x04" + b"x" * 100, BAD, "no readable Excel"),
}


def sparse(name: str, size: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        with path.open("wb") as stream:
            stream.write(b"a\tb\n")
            stream.truncate(size)
        return path

    return make


def beside(content: str) -> Callable[[Path], Path]:
    """Write sound confounds with such a sidecar beside them."""

    def make(folder: Path) -> Path:
        (folder / "input.json").write_text(content)
        return file("input.tsv", CONFOUNDS["sound"][0])(folder)

    return make


CASES = [
    *expand("table", "table", ".tsv", TABLES),
    *expand("numbers in a table", "numbers", ".tsv", NUMBERS),
    *expand("parcel series", "series", ".tsv", SERIES_ROWS),
    *expand("matrix", "matrix", ".tsv", MATRICES),
    *expand("confounds", "confounds", ".tsv", CONFOUNDS),
    *expand("table of parcels", "atlas table", ".tsv", PARCELS),
    *expand("exclusion list", "exclusions", ".tsv", EXCLUSIONS),
    *expand("volumes", "volumes", ".tsv", VOLUMES),
    *expand("workbook", "table", ".xlsx", WORKBOOKS),
    Case("table", "300 GB, sparse", "table", sparse("input.tsv", 300 << 30), BAD, "too much"),
    Case("parcel series", "2 TB, sparse", "series", sparse("input.tsv", 2 << 40), BAD, "too much"),
    Case("confounds", "sidecar is no JSON", "confounds", beside("{"), BAD, "not valid JSON"),
    Case("confounds", "sidecar is a list", "confounds", beside("[]"), BAD, "object"),
    Case("confounds", "sidecar 10^5 deep", "confounds", beside("[" * 100_000), BAD, "nested"),
]
