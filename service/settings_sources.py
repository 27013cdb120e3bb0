"""Where settings come from, and which wins: flag, then ``GRAFT_<NAME>``, then file, then default.

A key nobody knows is an error with a suggestion, wherever it stands: a misspelt setting that is silently ignored is how
servers come to run with the wrong one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from service.settings import ServeSettings, SettingsError, StoreUrl, checked

PREFIX = "GRAFT_"
_SERVICE_LINK = re.compile(r"GRAFT_(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=\w+://|PORT_\d+_\w+=).*")
"""What Kubernetes puts into every container when a Service is named ``graft`` or ``graft-...``; nobody set it."""


def add_flags(parser: ArgumentParser) -> None:
    """One flag a setting, and ``--config`` for the file."""
    parser.add_argument("--config", type=Path, help="TOML file with any of the settings below, under their names")
    for setting in fields(ServeSettings):
        text = f"{setting.metadata['help']} (default {setting.default}; also {PREFIX}{setting.name.upper()})"
        parser.add_argument("--" + setting.name.replace("_", "-"), default=None, help=text, metavar="VALUE")


def read_settings(flags: Namespace, environment: Mapping[str, str]) -> ServeSettings:
    """Settings from all three places.

    Raises:
        SettingsError
    """
    values: dict[str, Any] = {}
    if flags.config is not None:
        values |= _from_file(flags.config)
    values |= _from_environment(environment)
    values |= {
        setting.name: _typed(setting.name, getattr(flags, setting.name), f"--{setting.name.replace('_', '-')}")
        for setting in fields(ServeSettings)
        if getattr(flags, setting.name) is not None
    }
    return checked(ServeSettings(**values))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    known = _names()
    for name in raw:
        if name not in known:
            raise SettingsError(f"{path}: no setting is called {name!r}{_suggestion(name, known)}")
    return {name: _typed(name, _as_text(name, value, path), f"{path}: {name}") for name, value in raw.items()}


def _as_text(name: str, value: Any, path: Path) -> str:
    """A TOML value as it would be written in a flag; a list, a table or a truth value is none."""
    wanted = {bool: (bool,), int: (int, float), float: (int, float)}.get(type(_default(name)), (str,))
    if type(value) not in wanted:
        raise SettingsError(f"{path}: {name}: {value!r} is not of type {type(_default(name)).__name__}")
    return str(value)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    known = _names()
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known and _is_service_link(variable, environment):
            continue
        if name not in known:
            raise SettingsError(f"{variable}: no setting is called {name!r}{_suggestion(name, known)}")
        values[name] = _typed(name, value, variable)
    return values


def _is_service_link(variable: str, environment: Mapping[str, str]) -> bool:
    return (
        "KUBERNETES_SERVICE_HOST" in environment
        and _SERVICE_LINK.fullmatch(f"{variable}={environment[variable]}") is not None
    )


def _default(name: str) -> Any:
    return next(setting.default for setting in fields(ServeSettings) if setting.name == name)


def _names() -> list[str]:
    return [setting.name for setting in fields(ServeSettings)]


def about_unknown_flags(flags: Sequence[str], also: Collection[str] = ()) -> str:
    """What to say to flags that nobody knows; ``also`` are the names of others that are known."""
    known = ["--" + name.replace("_", "-") for name in ("config", *_names())] + [f"--{name}" for name in also]
    first = flags[0].partition("=")[0]
    return f"unrecognized arguments: {' '.join(flags)}{_suggestion(first, known)}"


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _typed(name: str, value: str, place: str) -> Any:
    default = _default(name)
    if name == "repository" and "://" in value:
        return StoreUrl(value)
    kind: Callable[[str], Any] = {bool: _truth}.get(type(default), Path if isinstance(default, Path) else type(default))
    try:
        return kind(value)
    except ValueError as error:
        raise SettingsError(f"{place}: {value!r} is not of type {type(default).__name__}") from error


def _truth(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(value)
    return value.lower() == "true"
