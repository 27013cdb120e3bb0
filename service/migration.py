"""``graft migrate``: what becomes of a TensorFlow Serving installation when Graft is started in its place.

Reads the command line, the files it names and the models' signatures, starts nothing and changes nothing, and says of
each thing what is kept, what differs, and what cannot be had.
"""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.adapters.engines.by_files import EngineByFiles
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.tflite_engine import TfLiteEngine
from service.adapters.rpc.model_configs import ModelConfigFile, OneModel
from service.adapters.rpc.warmup_records import FILE as WARM_UP
from service.adapters.tfserving.batching_files import PER_MODEL_FILE, PerModelBatching, read_batching
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.serving_config import ModelConfig, ServingConfig
from service.domain.tensors import NUMPY_TYPES, Signature
from service.named_files import read_named_files
from service.settings import ServeSettings, SettingsError
from service.settings_sources import add_flags, read_settings
from service.tfserving_flags import Kind, Translation, translate

_USAGE = """usage: graft migrate [--] [tensorflow_model_server] FLAGS...

Says what would become of a TensorFlow Serving command line if Graft were started with it: what is honoured, what
differs, what is refused; reads the configuration files and model directories that it names; prints the same command
line in Graft's own words. Ends with 0 when nothing is refused, else with 1.
"""
_KEPT, _DIFFERS, _REFUSED = "kept", "differs", "REFUSED"
_OF_KIND = {Kind.HONOURED: _KEPT, Kind.MAPPED: _DIFFERS, Kind.IGNORED: _DIFFERS, Kind.REFUSED: _REFUSED}
_VERSION = re.compile(r"\d{1,19}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what becomes of it."""

    verdict: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"  {self.verdict:<8} {self.about}: {self.text}"


def migrate(words: Sequence[str]) -> int:
    """Print what is kept, differs or is refused; the exit status."""
    flags = _flags(words)
    if not flags or {"-h", "--help"} & set(flags):
        print(_USAGE, end="")
        return 0 if flags else 2
    try:
        translation = translate(flags)
        settings = _settings(translation)
    except SettingsError as error:
        print(f"{Finding(_REFUSED, 'the command line', str(error))}\n\nAs it stands, it cannot be switched.")
        return 1
    sections = {
        "The command line": list(_command_line(translation)),
        "The files it names": list(_files(settings)),
        "The models": list(_models(settings)),
    }
    for title, findings in sections.items():
        if findings:
            print(title, *findings, "", sep="\n")
    print("In Graft's own words", f"  graft serve {shlex.join(translation.words)}", "", sep="\n")
    refused = sum(one.verdict == _REFUSED for findings in sections.values() for one in findings)
    print(f"It cannot be switched as it stands: {refused} refused." if refused else "It can be switched.")
    return 1 if refused else 0


def _flags(words: Sequence[str]) -> list[str]:
    """The words from the first flag on: before it stands the program's name, if anything."""
    left = list(words)
    while left and (left[0] == "--" or not left[0].startswith("-")):
        left.pop(0)
    return left


def _settings(translation: Translation) -> ServeSettings:
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    add_flags(parser)
    wanted = [word for word in translation.words if word != "--version"]
    parsed, unknown = parser.parse_known_args(wanted)
    if unknown:
        raise SettingsError(f"neither TensorFlow Serving nor Graft has such flags: {' '.join(unknown)}")
    return read_settings(parsed, {})


def _command_line(translation: Translation) -> Iterator[Finding]:
    for one in translation.given:
        verdict = _KEPT if one.asks_for_nothing else _OF_KIND[one.flag.kind]
        yield Finding(verdict, f"--{one.name}={one.value}", one.flag.text.replace("`", ""))


def _files(settings: ServeSettings) -> Iterator[Finding]:
    names = (settings.batching_parameters_file, settings.monitoring_config_file, settings.ssl_config_file)
    if not any(names):
        return
    try:
        read = read_named_files(settings)
    except SettingsError as error:
        yield Finding(_REFUSED, "files", str(error))
        return
    if settings.batching_parameters_file:
        limits = read.limits
        text = f"{limits.max_rows} rows a run, {limits.max_waiting_rows} waiting, {read.lanes} lanes"
        yield Finding(_KEPT, settings.batching_parameters_file, text)
        for note in read_batching(Path(settings.batching_parameters_file)).notes:
            yield Finding(_DIFFERS, settings.batching_parameters_file, note)
    if settings.monitoring_config_file:
        text = f"metrics at {read.monitoring_path}" if read.monitoring_path else "it turns nothing on"
        yield Finding(_KEPT, settings.monitoring_config_file, text)
    if settings.ssl_config_file:
        clients = ", clients must show a certificate" if read.tls and read.tls.authorities else ""
        yield Finding(_KEPT, settings.ssl_config_file, f"gRPC speaks TLS{clients}")


def _models(settings: ServeSettings) -> Iterator[Finding]:
    try:
        config = _config(settings)
    except (InvalidInput, OSError) as error:
        yield Finding(_REFUSED, "models", str(error))
        return
    if not config.models:
        yield Finding(_DIFFERS, "models", f"none is named; what lies in {settings.repository} is served")
    engine = EngineByFiles(
        TensorFlowEngine(tags=settings.saved_model_tags.split(",")),
        TfLiteEngine(),
        prefer_tflite=settings.prefer_tflite,
    )
    for model in config.models:
        yield from _model(model, engine, settings)


def _config(settings: ServeSettings) -> ServingConfig:
    if settings.model_config_file:
        return ModelConfigFile(Path(settings.model_config_file)).read()
    return OneModel(settings.model_name, settings.model_base_path).read()


def _model(model: ModelConfig, engine: EngineByFiles, settings: ServeSettings) -> Iterator[Finding]:
    try:
        folders = {int(one.name): one for one in Path(model.base_path).iterdir() if _VERSION.fullmatch(one.name)}
    except OSError as error:
        text = f"{model.base_path} cannot be read, and is waited for while the others are served: {error.strerror}"
        yield Finding(_DIFFERS, model.name, text)
        return
    if not folders:
        yield Finding(_DIFFERS, model.name, f"{model.base_path} has no version yet; it is waited for")
    for number in sorted(model.policy.wanted(folders)):
        yield from _version(f"{model.name}@{number}", folders[number], engine, settings)
    for label, number in sorted(model.labels.items()):
        if number not in folders:
            yield Finding(_DIFFERS, f"{model.name}, label {label}", f"version {number} is not there yet")


def _version(about: str, directory: Path, engine: EngineByFiles, settings: ServeSettings) -> Iterator[Finding]:
    try:
        signatures = engine.signatures(directory)
    except ModelFailed as error:
        yield Finding(_REFUSED, about, str(error))
        return
    yield Finding(_KEPT, about, f"signatures {', '.join(sorted(signatures)) or 'none'}")
    for name, signature in sorted(signatures.items()):
        for alias, dtype in sorted(_not_carried(signature)):
            yield Finding(_REFUSED, about, f"signature {name}: {alias} is {dtype}, which no door carries")
    if settings.warmup_iterations and (directory / WARM_UP).is_file():
        yield Finding(_KEPT, about, "its warm-up requests are run before it answers")
    if (directory / PER_MODEL_FILE).is_file():
        yield _own_batching(about, directory, settings)


def _own_batching(about: str, directory: Path, settings: ServeSettings) -> Finding:
    if not settings.per_model_batching:
        return Finding(_KEPT, about, f"{PER_MODEL_FILE} is not asked for, and not read")
    try:
        PerModelBatching().limits(directory)
    except ModelFailed as error:
        return Finding(_REFUSED, about, str(error))
    return Finding(_KEPT, about, f"{PER_MODEL_FILE} holds for it")


def _not_carried(signature: Signature) -> Iterator[tuple[str, str]]:
    for spec in (*signature.inputs.values(), *signature.outputs.values()):
        if spec.dtype not in NUMPY_TYPES:
            yield spec.alias, spec.dtype
