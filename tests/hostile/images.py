"""Images: NIfTI, CIFTI, GIFTI and annotations whose headers lie, whose bodies are cut, or worse."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cifti_files import (
    brain_models,
    label_table,
    labels_of,
    values_of,
    write_dlabel,
    write_dtseries,
    write_func_gii,
    write_label_gii,
)
from hostile.cases import Case, file

BAD, OK = "InputError", "handled"
SHAPE = (4, 4, 3, 5)


def nifti(version: int = 1, *, data: np.ndarray | None = None, **fields: Any) -> bytes:
    """Return a plain NIfTI file, some fields of its header overwritten after it was made."""
    data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) if data is None else data
    make = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    content = bytearray(make(data, np.diag([3.0, 3, 3, 1])).to_bytes())
    size = 348 if version == 1 else 540
    header = (nib.Nifti1Header if version == 1 else nib.Nifti2Header)(bytes(content[:size]))
    for name, value in fields.items():
        if isinstance(value, dict):
            for position, one in value.items():
                header[name][position] = one
        else:
            header[name] = value
    content[:size] = header.binaryblock
    return bytes(content)


SOUND = nifti()
VOLUME = np.zeros((6, 6, 6), dtype=np.int16)
VOLUME[1:3] = 1
NAN = float("nan")
Row = tuple[str, Callable[[], bytes], str, str]
PACKED = gzip.compress(SOUND, mtime=0)


def flipped() -> bytes:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=SHAPE).astype(np.float32)
    content = bytearray(gzip.compress(nifti(data=noise), mtime=0))
    content[len(content) // 2] ^= 8
    return bytes(content)


def bomb_behind() -> bytes:
    """A sound run with 2 GB of zeros behind its last frame, in 2 MB."""
    zeros = gzip.compress(bytes(1 << 26), 9, mtime=0)
    return PACKED + zeros * 32


RUNS: list[Row] = [
    ("sound", lambda: PACKED, OK, ""),
    ("NIfTI-2", lambda: nifti(2), OK, ""),
    ("not packed, whatever its name", lambda: SOUND, OK, ""),
    ("empty", lambda: b"", BAD, "no NIfTI"),
    ("text", lambda: b"no image at all\n", BAD, "no NIfTI"),
    ("347 bytes", lambda: SOUND[:347], BAD, "no NIfTI"),
    ("header alone", lambda: SOUND[:352], BAD, "frame 1 of the 5"),
    ("cut in a frame", lambda: SOUND[:-50], BAD, "frame 5 of the 5"),
    ("cut in the gzip stream", lambda: PACKED[:-20], BAD, "damaged"),
    ("gzip of nothing", lambda: gzip.compress(b""), BAD, "no NIfTI"),
    ("gzip magic alone", lambda: b"\x1f\x8b", BAD, "damaged|no NIfTI"),
    ("a flipped bit", flipped, BAD, "damaged"),
    ("2 GB of zeros behind the end", bomb_behind, BAD, "or more bytes follow"),
    ("200 TB announced", lambda: gzip.compress(nifti(dim={1: 32767, 2: 32767, 3: 32767})), BAD, "announces"),
    ("10^18 frames announced", lambda: nifti(2, dim={4: 10**18}), BAD, "its header announces"),
    ("product of dimensions beyond 64 bits", lambda: nifti(2, dim={1: 2**40, 2: 2**40}), BAD, "announces"),
    ("an extension of 2 GB announced", lambda: SOUND[:348] + b"\1\0\0\0\xf0\xff\xff\x7f" + SOUND[352:], BAD, "bytes follow|damaged|ends"),
    ("negative dimension", lambda: nifti(dim={2: -4}), BAD, "empty|damaged|no NIfTI"),
    ("no dimension", lambda: nifti(dim={0: 0}), BAD, "4-D"),
    ("nine dimensions", lambda: nifti(dim={0: 9}), BAD, "no NIfTI|4-D"),
    ("five axes", lambda: nifti(dim={0: 5, 5: 2}), BAD, "4-D"),
    ("unknown data type", lambda: nifti(datatype=4321), BAD, "no NIfTI"),
    ("colours", lambda: nifti(datatype=128, bitpix=24), BAD, "plain numbers"),
    ("complex numbers", lambda: nifti(datatype=32, bitpix=64), BAD, "plain numbers"),
    ("voxels begin at NaN", lambda: nifti(vox_offset=NAN), BAD, "damaged|no NIfTI"),
    ("voxels begin at 1e30", lambda: nifti(vox_offset=1e30), BAD, "announces|damaged|ends"),
    ("voxels begin before the file", lambda: nifti(vox_offset=-400), BAD, "damaged|no NIfTI|begin"),
    ("slope nan", lambda: nifti(scl_slope=NAN), OK, ""),
    ("slope inf", lambda: nifti(scl_slope=np.inf, scl_inter=1), OK, ""),
    ("affine of NaN", lambda: nifti(srow_x={0: NAN}), BAD, "where it lies"),
    ("affine of zeros", lambda: nifti(srow_x={0: 0.0}), BAD, "where it lies"),
    ("voxel sizes inf", lambda: nifti(sform_code=0, qform_code=0, pixdim={1: np.inf}), BAD, "where it lies|no NIfTI|damaged"),
    ("repetition time of a day", lambda: nifti(pixdim={4: 86400.0}), OK, ""),
    ("units of space that are none (found by fuzzing)", lambda: nifti(xyzt_units=7), OK, ""),
    ("repetition time nan", lambda: nifti(pixdim={4: NAN}), OK, ""),
    ("other byte order", lambda: nib.Nifti1Image(np.zeros(SHAPE, ">i2"), np.eye(4)).to_bytes(), OK, ""),
    ("half of a pair", lambda: SOUND[:344] + b"ni1\0" + SOUND[348:], BAD, "part of a pair"),
    ("a CIFTI header", lambda: nifti(2, intent_code=3002), BAD, "CIFTI"),
    ("voxels of NaN", lambda: nifti(data=np.full(SHAPE, NAN, np.float32)), OK, ""),
]  # fmt: skip
VOLUMES: list[Row] = [
    ("sound", lambda: nifti(data=VOLUME), OK, ""),
    ("four dimensions", lambda: SOUND, BAD, "3-D image is needed"),
    ("halves", lambda: nifti(data=VOLUME / np.float32(2)), BAD, "whole numbers"),
    ("NaN", lambda: nifti(data=np.full((4, 4, 4), NAN, np.float32)), BAD, "whole numbers"),
    ("all background", lambda: nifti(data=np.zeros((4, 4, 4), np.int16)), BAD, "empty"),
    ("negative labels", lambda: nifti(data=-VOLUME), BAD, "negative"),
    ("labels beyond 32 bits", lambda: nifti(data=(VOLUME * 1e12).astype(np.float64)), BAD, "32 bits|too large|label"),
    ("10^10 voxels of zeros in 10 MB", lambda: gzip.compress(nifti(data=np.zeros((4, 4, 4), np.int8), dim={1: 2000, 2: 2000, 3: 2500})) + gzip.compress(bytes(1 << 24)) * 600, BAD, "voxels in one volume|announces"),
]  # fmt: skip


def _write(folder: Path, name: str, make: Callable[[], bytes]) -> Path:
    return file(name, make())(folder)


def images(kind: str, door: str, name: str, rows: list[Row]) -> list[Case]:
    return [
        Case(kind, row, door, lambda f, make=make: _write(f, name, make), expected, says)  # type: ignore[misc]
        for row, make, expected, says in rows
    ]


# ---------------------------------------------------------------------------------------------
# CIFTI: files that are written well, then changed
# ---------------------------------------------------------------------------------------------


def dense(folder: Path) -> bytes:
    axis = brain_models()
    path = write_dtseries(folder / "made.dtseries.nii", axis, values_of(axis, 4))
    content = path.read_bytes()
    path.unlink()
    return content


def labels(folder: Path) -> bytes:
    axis = brain_models()
    path = write_dlabel(folder / "made.dlabel.nii", axis, labels_of(axis))
    content = path.read_bytes()
    path.unlink()
    return content


def xml(old: str, new: str) -> Callable[[bytes], bytes]:
    """Replace in the header's XML by a text of the same length, or where it is shorter with blanks."""

    def change(content: bytes) -> bytes:
        found = re.search(old.encode(), content)
        assert found is not None, old
        piece = found[0]
        fresh = new.encode()
        assert len(fresh) <= len(piece), (len(fresh), len(piece))
        return content.replace(piece, fresh.ljust(len(piece)), 1)

    return change


def header_field(name: str, value: object, position: int | None = None) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        header = nib.Nifti2Header(content[:540], check=False)
        if position is None:
            header[name] = value
        else:
            header[name][position] = value
        return header.binaryblock + content[540:]

    return change


def intercept_lost(content: bytes) -> bytes:
    return header_field("scl_inter", NAN)(header_field("scl_slope", 2.0)(content))


def laughing(content: bytes) -> bytes:
    """Declare entities before the header's root, in place of a piece of its own."""
    start = content.index(b"<CIFTI")
    end = content.index(b"</CIFTI>")
    fresh = b'<!DOCTYPE a[<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><CIFTI Version="2">&d;'
    return content[:start] + fresh.ljust(end - start) + content[end:]


Change = Callable[[bytes], bytes]
DENSE: list[tuple[str, Change, str, str]] = [
    ("sound", lambda c: c, OK, ""),
    ("empty", lambda c: b"", BAD, "no CIFTI"),
    ("compressed", gzip.compress, BAD, "compressed"),
    ("cut in the XML", lambda c: c[:900], BAD, "damaged|no CIFTI header|missing|truncated"),
    ("cut in the numbers", lambda c: c[:-9], BAD, "bytes are missing"),
    ("longer than it says", lambda c: c + b"\0" * 9, BAD, "bytes follow"),
    ("a plain volume", lambda c: nifti(2), BAD, "no CIFTI header"),
    ("10^17 rows announced", header_field("dim", 10**17, 6), BAD, "bytes are missing"),
    ("rows announced negative", header_field("dim", -5, 6), BAD, "shape"),
    ("numbers begin at 2^62", header_field("vox_offset", 2**62), BAD, "missing|truncated|contradict|damaged"),
    ("numbers begin before the file", header_field("vox_offset", -8), BAD, "no CIFTI header"),
    ("unknown data type", header_field("datatype", 4321), BAD, "damaged"),
    ("an intercept that is no number", intercept_lost, BAD, "damaged .*intercept"),
    ("complex numbers", header_field("datatype", 32), BAD, "plain numbers"),
    ("a billion laughs", laughing, BAD, "entities"),
    ("version 1", xml(r"<CIFTI [^>]*>", '<CIFTI Version="1">'), BAD, "version"),
    ("XML that is none", xml("<Matrix>", "<<<<"), BAD, "damaged"),
    ("rows of no kind", xml("CIFTI_INDEX_TYPE_BRAIN_MODELS", "CIFTI_INDEX_TYPE_NOTHING"), BAD, "type"),
    ("an index offset of words", xml(r'IndexOffset="0"', 'IndexOffset="x"'), BAD, "IndexOffset"),
    ("more rows than there are", xml(r'IndexCount="\d\d"', 'IndexCount="99"'), BAD, "contradict"),
    ("negative rows", xml(r'IndexCount="\d\d"', 'IndexCount="-9"'), BAD, "contradict"),
    ("vertices of words", xml(r"<VertexIndices>0 1 2", "<VertexIndices>a b c"), BAD, "damaged"),
    ("vertex beyond 32 bits", xml(r"<VertexIndices>0 1 2 3 4 5 6 7", "<VertexIndices>9999999999"), BAD, "no vertex|contradict"),
    ("affine of words", xml(r"IJKtoXYZ[^>]*>\s*-2.0", "IJKtoXYZ>x"), BAD, "affine"),
    ("volume of no voxel", xml(r'VolumeDimensions="8,9,10"', 'VolumeDimensions="0,9,10"'), BAD, "volume"),
]  # fmt: skip
DLABEL: list[tuple[str, Change, str, str]] = [
    ("sound", lambda c: c, OK, ""),
    ("key that is a word", xml(r'Key="1"', 'Key="x"'), BAD, "Key"),
    ("key of 9 digits", xml(r'Key="1" Red="[0-9.]+"', 'Key="999999999"'), OK, ""),
    ("cut", lambda c: c[:-1], BAD, "missing"),
]


def grayordinates(
    kind: str, ending: str, base: Callable[[Path], bytes], rows: list[tuple[str, Change, str, str]]
) -> list[Case]:
    def make(folder: Path, change: Change) -> Path:
        return file(f"input{ending}", change(base(folder)))(folder)

    return [
        Case(kind, name, "cifti", lambda f, c=change: make(f, c), expected, says)  # type: ignore[misc]
        for name, change, expected, says in rows
    ]


# ---------------------------------------------------------------------------------------------
# GIFTI and FreeSurfer
# ---------------------------------------------------------------------------------------------


def surface(folder: Path) -> bytes:
    values = np.arange(40.0).reshape(10, 4)
    return write_func_gii(folder / "input.func.gii", values, side="").read_bytes()


def surface_labels(folder: Path) -> bytes:
    names = {0: "???", 1: "A"}
    return write_label_gii(
        folder / "input.label.gii", np.arange(10) % 2, names, side="Left"
    ).read_bytes()


def replaced(old: bytes, new: bytes, count: int = 1) -> Change:
    def change(content: bytes) -> bytes:
        assert old in content, old
        return content.replace(old, new, count)

    return change


def packed_bomb(content: bytes) -> bytes:
    """Put 200 MB of zeros where ten numbers were announced."""
    import base64
    import zlib

    data = base64.b64encode(zlib.compress(bytes(200_000_000), 9))
    return re.sub(rb"<Data>.*?</Data>", b"<Data>" + data + b"</Data>", content, count=1, flags=re.S)


SURFACES: list[tuple[str, Change, str, str]] = [
    ("sound", lambda c: c, OK, ""),
    ("empty", lambda c: b"", BAD, "no GIFTI"),
    ("text", lambda c: b"hello", BAD, "no GIFTI"),
    ("compressed", gzip.compress, BAD, "no GIFTI|compressed"),
    ("cut", lambda c: c[: len(c) // 2], BAD, "damaged"),
    ("a billion laughs", lambda c: LAUGHS + c[c.index(b"<GIFTI") :], BAD, "entities"),
    ("numbers in /etc/passwd", lambda c: replaced(b'Encoding="GZipBase64Binary"', b'Encoding="ExternalFileBinary"', -1)(c).replace(b'ExternalFileName=""', b'ExternalFileName="/etc/passwd"'), BAD, "another file"),
    ("200 MB packed as 40 bytes", packed_bomb, BAD, "more than it announces"),
    ("10^15 vertices announced", replaced(b'Dim0="10"', b'Dim0="1000000000000000"'), BAD, "announces"),
    ("negative size", replaced(b'Dim0="10"', b'Dim0="-10"'), BAD, "no GIFTI|damaged"),
    ("a million dimensions", replaced(b'Dimensionality="1"', b'Dimensionality="1000000"'), BAD, "damaged|dimensions"),
    ("fewer arrays than announced", replaced(b'NumberOfDataArrays="4"', b'NumberOfDataArrays="9"'), BAD, "damaged|announces"),
    ("no base64", lambda c: re.sub(rb"<Data>.*?</Data>", b"<Data>!!!!</Data>", c, count=1, flags=re.S), BAD, "damaged"),
    ("unknown encoding", replaced(b'Encoding="GZipBase64Binary"', b'Encoding="Rot13"'), BAD, "damaged"),
    ("unknown data type", replaced(b'DataType="NIFTI_TYPE_FLOAT32"', b'DataType="NIFTI_TYPE_X"'), BAD, "damaged"),
    ("UTF-16", lambda c: c.decode().encode("utf-16"), BAD, "no GIFTI|damaged"),
    ("an encoding that is none", replaced(b'encoding="UTF-8"', b'encoding="klingon"'), BAD, "damaged"),
]  # fmt: skip
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
LABELS: list[tuple[str, Change, str, str]] = [
    ("sound", lambda c: c, OK, ""),
    ("the other hemisphere", replaced(b"CortexLeft", b"CortexRight"), BAD, "right"),
    ("key that is a word", replaced(b'Key="1"', b'Key="x"'), BAD, "damaged"),
    ("cut", lambda c: c[:-60], BAD, "damaged"),
]


def annotation(n_vertices: int) -> Callable[[Path], Path]:
    content = n_vertices.to_bytes(4, "big") + b"\0\0\0\1" * 20
    return file("input.annot", content)


def gifti_cases() -> list[Case]:
    cases = []
    for kind, door, ending, base, rows in (
        ("surface run", "surface run", ".func.gii", surface, SURFACES),
        ("surface labels", "surface labels", ".label.gii", surface_labels, LABELS),
    ):
        for name, change, expected, says in rows:

            def make(
                folder: Path,
                change: Change = change,
                base: Callable[[Path], bytes] = base,
                ending: str = ending,
            ) -> Path:
                return file(f"input{ending}", change(base(folder)))(folder)

            cases.append(Case(kind, name, door, make, expected, says))
    return cases


CASES = [
    *images("4-D image", "run", "input.nii.gz", RUNS),
    *images("label image", "atlas image", "input.nii.gz", VOLUMES),
    *grayordinates("CIFTI series", ".dtseries.nii", dense, DENSE),
    *grayordinates("CIFTI labels", ".dlabel.nii", labels, DLABEL),
    *gifti_cases(),
    Case("annotation", "2^31 vertices", "surface labels", annotation(2**31 - 1), BAD, "announces"),
    Case("annotation", "cut", "surface labels", annotation(5), BAD, "annotation"),
    Case("annotation", "empty", "surface labels", file("input.annot", b""), BAD, "annotation"),
]
__all__ = ["CASES", "label_table"]
