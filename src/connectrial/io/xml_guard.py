"""What XML may not do to us: expand, point elsewhere, or unpack to more than it says.

The parsers that read GIFTI, CIFTI and Excel files do their work after these checks.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from connectrial.errors import InputError

_CHUNK_BYTES = 1 << 16
_MOST_GIFTI_BYTES = 1 << 32  # 164,000 vertices x 6,500 frames
_ITEM_BYTES = {
    "2": 1,
    "4": 2,
    "8": 4,
    "16": 4,
    "64": 8,
    "256": 1,
    "512": 2,
    "768": 4,
    "1024": 8,
    "1280": 8,
    "32": 8,
    "1536": 16,
}
_TYPE_CODES = {
    "UINT8": "2",
    "INT16": "4",
    "INT32": "8",
    "FLOAT32": "16",
    "FLOAT64": "64",
    "INT8": "256",
    "UINT16": "512",
    "UINT32": "768",
    "INT64": "1024",
    "UINT64": "1280",
}


class _PrologEnds(Exception):  # noqa: N818  no error: it stops a parser
    pass


def refuse_entities(pieces: Iterable[bytes], path: Path) -> None:
    """Refuse XML that declares entities, by which a few bytes grow to gigabytes or name other files.

    Parameters
    ----------
    pieces : iterable of bytes
        The document from its beginning; read until its first element.
    path : Path
        For messages.

    Raises
    ------
    InputError
        An entity is declared. Other damage is the reader's to tell.
    """

    def declared(*_: object) -> NoReturn:
        raise InputError(
            f"{path}: its XML declares entities, which no file of this kind needs and which can "
            "fill the memory or pull in other files; it is refused: write it with another program"
        )

    def begins(*_: object) -> NoReturn:
        raise _PrologEnds

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = declared
    parser.StartElementHandler = begins
    try:
        for piece in pieces:
            parser.Parse(piece, False)  # noqa: FBT003  expat takes no keyword
    except InputError:
        raise
    except (_PrologEnds, expat.ExpatError, LookupError, ValueError):  # an encoding that is none
        return


def check_gifti(data: bytes, path: Path) -> None:
    """Look through a GIFTI file for what would hurt the reader.

    Parameters
    ----------
    data : bytes
        The file.
    path : Path
        For messages.

    Raises
    ------
    InputError
        It declares entities, keeps its numbers in other files, announces more than can be read
        whole, or its packed numbers unpack to more than it announces.
    """
    refuse_entities([data], path)
    arrays = _Arrays(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _CHUNK_BYTES
    parser.StartElementHandler = arrays.start
    parser.EndElementHandler = arrays.end
    parser.CharacterDataHandler = arrays.text
    try:
        parser.Parse(data, True)  # noqa: FBT003  expat takes no keyword
    except (expat.ExpatError, binascii.Error, zlib.error, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: the surface file is damaged or no GIFTI ({error}); copy or make it again"
        ) from error


class _Arrays:
    """Counts what the arrays of a GIFTI file announce, and what they unpack to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.announced = 0
        self.room = 0
        self.is_packed = False
        self.unpacker: zlib._Decompress | None = None
        self.pending = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "DataArray":
            self._announce(attributes)
        elif name == "Data" and self.is_packed:
            self.unpacker, self.pending = zlib.decompressobj(), ""

    def end(self, name: str) -> None:
        if name == "Data":
            self.unpacker = None

    def text(self, text: str) -> None:
        if self.unpacker is None:
            return
        self.pending += "".join(text.split())
        whole = len(self.pending) // 4 * 4
        packed, self.pending = base64.b64decode(self.pending[:whole]), self.pending[whole:]
        while packed:
            self.room -= len(self.unpacker.decompress(packed, _CHUNK_BYTES))
            packed = self.unpacker.unconsumed_tail
            if self.room < 0:
                raise InputError(
                    f"{self.path}: the surface file is damaged: its packed numbers are more than it "
                    "announces; copy or make it again"
                )

    def _announce(self, attributes: Mapping[str, str]) -> None:
        encoding = attributes.get("Encoding", "")
        if encoding in ("ExternalFileBinary", "3"):
            raise InputError(
                f"{self.path}: its numbers stand in another file (ExternalFileBinary), which is not "
                "read; convert it with wb_command -gifti-convert GZIP_BASE64_BINARY IN OUT"
            )
        self.is_packed = encoding in ("GZipBase64Binary", "2", "GZIP_BASE64_BINARY")
        rank = int(attributes.get("Dimensionality", 1))
        if not 1 <= rank <= 6:
            raise InputError(f"{self.path}: a data array has {rank} dimensions; it is damaged")
        sizes = [int(attributes.get(f"Dim{n}", 1)) for n in range(rank)]
        if min(sizes) < 0:
            raise InputError(f"{self.path}: a data array has the shape {sizes}; it is damaged")
        kind = attributes.get("DataType", "").removeprefix("NIFTI_TYPE_")
        item = _ITEM_BYTES.get(_TYPE_CODES.get(kind, kind), 16)
        self.room = math.prod(sizes) * item
        self.announced += self.room
        if self.announced > _MOST_GIFTI_BYTES:
            raise InputError(
                f"{self.path}: the file announces {self.announced / 1e9:,.1f} GB of numbers; at most "
                f"{_MOST_GIFTI_BYTES / 1e9:,.1f} GB are read"
            )
