"""Reading the tables of connections that hypotheses name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.io.tables import read_table
from connectrial.study import ConnectionTable, Study


def connection_files(study: Study) -> dict[str, Path]:
    """Return where each table of connections lies, by what the study file calls it."""
    named = [one.connections for one in study.hypothesis]
    tables = dict.fromkeys(one.table for one in named if isinstance(one, ConnectionTable))
    return {name: study.located(name, key="hypothesis.connections.table") for name in tables}


def read_connections(study: Study, problems: list[str]) -> dict[str, pd.DataFrame]:
    """Read every table of connections as text, indexed by the line of its file.

    Parameters
    ----------
    study : Study
        Whose hypotheses name them.
    problems : list of str
        Is added to where one cannot be read.
    """
    found = {}
    for name, path in connection_files(study).items():
        try:
            table = read_table(path)
        except ConnectrialError as error:
            problems += [f"[[hypothesis]] connections: {problem}" for problem in error.problems]
            continue
        found[name] = table.frame.set_axis(pd.Index(table.rows, name="line"))
    return found
