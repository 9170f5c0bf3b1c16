"""Commands about atlases: which there are, and those that are fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connectrial.cli.printing import open_console, progress_bars

if TYPE_CHECKING:
    from rich.console import Console


def atlases() -> None:
    """List the atlases that a study file can name: built in, or fetched once.

    Example: connectrial atlases
    """
    from rich.markup import escape
    from rich.table import Table

    from connectrial.io.atlas_list import list_atlases

    found = list_atlases()
    table = Table("name", "parcels", "networks", "form", "where", "space of its image")
    for row in found.drop(columns=["licence", "source"]).itertuples(index=False):
        table.add_row(*(escape(str(cell)) for cell in row))
    console = open_console()
    console.print(table)
    console.print("Please cite, and mind the licence:")
    for source, licence in dict(zip(found["source"], found["licence"], strict=True)).items():
        if "; " not in source:
            console.print(f"- {source}: {licence}", markup=False, soft_wrap=True)
    console.print("In a study file:  [atlas]  name = 'Seitzman300'", markup=False)
    console.print("An atlas of your own:  [atlas]  image = ..., table = ...", markup=False)


def fetch(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Such as Gordon333")] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show what can be fetched, and what was left out")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the files; default: where [atlas] name finds them"),
    ] = None,
) -> None:
    """Fetch a public atlas from a pinned address and check it against its published checksum.

    Files are kept in your cache folder, or below CONNECTRIAL_HOME where that is set. What is there
    and right is not fetched again.

    Example: connectrial fetch Gordon333
    """
    from connectrial.errors import InputError
    from connectrial.io.atlas_files import fetch_atlas

    console = open_console()
    if listing:
        _print_fetchable(console)
        return
    if name is None:
        raise InputError("fetch: name an atlas, such as connectrial fetch Gordon333, or use --list")
    with progress_bars(console) as progress:
        paths = fetch_atlas(name, to=to, progress=progress)
    for path in paths:
        console.print(f"{path}", highlight=False, markup=False, soft_wrap=True)
    if to is None:
        console.print(f"In a study file:  [atlas]  name = '{name}'", markup=False)
    else:
        console.print("In a study file name these files as [atlas] image and table.", markup=False)


def _print_fetchable(console: Console) -> None:
    from rich.table import Table

    from connectrial.io.atlas_files import LEFT_OUT, atlas_folder, read_registry

    table = Table("name", "space", "size", "address")
    for name, rows in read_registry().groupby("name", sort=False):
        images = rows.loc[rows["role"] == "image"]
        size = f"{rows['bytes'].sum() / 1000:.0f} kB"
        origin = "/".join(str(rows["address"].iloc[0]).split("/")[3:6])
        table.add_row(str(name), ", ".join(images["space"]), size, origin)
    console.print(table)
    console.print(f"They are kept in {atlas_folder()}.", markup=False, soft_wrap=True)
    console.print("Not offered:")
    for what, why in LEFT_OUT.items():
        console.print(f"- {what}: {why}", markup=False, soft_wrap=True)
