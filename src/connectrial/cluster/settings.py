"""What a cluster wants to know, from the ``[cluster]`` table of a file of its own."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from connectrial.errors import InputError, did_you_mean

_WALLTIME = re.compile(r"(\d+-)?\d{1,3}(:\d{2}){0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What each job of a study asks of a cluster.

    Attributes
    ----------
    system : str
        ``slurm``, the one that is known.
    partition, account : str
        As the cluster calls them; empty for its defaults.
    cores : int
        Cores of a task, and processes that it runs.
    memory_gb : float
        Memory of a task; 0 takes an estimate from the files.
    walltime : str
        Limit of a task, as SLURM writes it: ``HH:MM:SS`` or ``D-HH``; empty for the default.
    group_cores, group_memory_gb, group_walltime
        The same for the group level; 0 and empty take the cluster's defaults.
    people_per_task : int
        People that one task does in turn; 0 takes one, and more where a job array would be longer
        than `max_tasks`.
    max_tasks : int
        How long a job array may be.
    max_workers : int
        How many jobs of Dask workers ``--cluster`` starts.
    interface : str
        Network interface that Dask's scheduler and workers use; empty for the default.
    setup : tuple of str
        Lines of shell before the command, such as ``module load python``.
    options : tuple of str
        Further options of ``sbatch``, such as ``--constraint=avx2``.
    """

    system: str = "slurm"
    partition: str = ""
    account: str = ""
    cores: int = 1
    memory_gb: float = 0.0
    walltime: str = ""
    group_cores: int = 1
    group_memory_gb: float = 0.0
    group_walltime: str = ""
    people_per_task: int = 0
    max_tasks: int = 1000
    max_workers: int = 10
    interface: str = ""
    setup: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


_LEAST = {"cores": 1, "group_cores": 1, "max_tasks": 1, "max_workers": 1}


def read_cluster_file(path: Path) -> ClusterSettings:
    """Read the ``[cluster]`` table of a TOML file.

    Parameters
    ----------
    path : Path
        The file; it may hold other tables.

    Returns
    -------
    ClusterSettings

    Raises
    ------
    InputError
        The file cannot be read, has no such table, or a key is unknown or of the wrong kind; all
        problems at once.
    """
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no TOML file ({error})") from None
    table = content.get("cluster")
    if not isinstance(table, dict):
        raise InputError(f"{path}: has no table [cluster]; see connectrial submit --help")
    known = {one.name: one.default for one in fields(ClusterSettings)}
    problems: list[str] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(f"{path}: [cluster] {key}: is unknown{did_you_mean(key, known)}")
            continue
        try:
            values[key] = _as_kind(key, value, known[key])
        except ValueError as error:
            problems.append(f"{path}: [cluster] {key}: is {value!r}; {error}")
    if problems:
        raise InputError(problems)
    return ClusterSettings(**values)


def _as_kind(key: str, value: object, default: object) -> object:
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError("must be a list of texts")
        return tuple(value)
    if isinstance(default, str):
        if not isinstance(value, str) or "\n" in value:
            raise ValueError("must be a text of one line")
        if key == "system" and value != "slurm":
            raise ValueError("allowed is slurm")
        if key.endswith("walltime") and value and not _WALLTIME.fullmatch(value):
            raise ValueError("must be a time such as 04:00:00 or 1-12:00:00")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if isinstance(default, int) and not isinstance(value, int):
        raise ValueError("must be a whole number")
    least = _LEAST.get(key, 0)
    if value < least:
        raise ValueError(f"must be {least} or more")
    return value
