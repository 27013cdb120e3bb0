"""The ``graft`` command."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from service.adapters import client
from service.adapters.load_test import command as bench
from service.domain.errors import InvalidInput
from service.settings import SettingsError
from service.settings_sources import PREFIX, about_unknown_flags, add_flags, read_settings
from service.tfserving_flags import FLAGS, Kind, Translation, add_help, translate

log = logging.getLogger(__name__)

_TRAINER_COMMANDS = {
    ("train",): ("train a base, or a head on one, from a preset or a recipe", "train"),
    ("recipe",): ("show a recipe with all its defaults, or what recipes may say", "recipe"),
    ("experiment",): ("compare ways of learning one task over many seeds and source models", "experiment"),
    ("export",): ("write a thin head again as a complete SavedModel", "export"),
    ("datasets", "check"): ("look for everything wrong with labelled data, as the server would", "check"),
}
"""Words of ours, what they do, and the trainer's command behind them: another program, started and never imported."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; ends the process with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # TensorFlow's start-up chatter says nothing about us; gRPC's fork handlers are for children that go on using it,
    # and ours are other programs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    for ours, (_, theirs) in _TRAINER_COMMANDS.items():
        if tuple(words[: len(ours)]) == ours:
            os.execv(sys.executable, [sys.executable, "-m", "training", theirs, *words[len(ours) :]])
    if words[:1] == ["migrate"]:
        from service.migration import migrate

        sys.exit(migrate(words[1:]))
    try:
        translation = translate(words, _said_elsewhere(words)) if words[:1] == ["serve"] else None
    except SettingsError as error:
        sys.exit(_refuse(error))
    parser = _parser()
    parsed, unknown = parser.parse_known_args(translation.words if translation else words)
    if unknown:
        known = about_unknown_flags(unknown, FLAGS)
        parser.error(known if parsed.command == "serve" else f"unrecognized arguments: {unknown[0]}")
    if translation:
        sys.exit(_serve(parsed, translation))
    sys.exit(bench.run(parsed) if parsed.command == "bench" else client.run(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graft", description="A transfer-learning model server.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve_text = "serve a repository of models over REST and gRPC, and tune heads on them"
    serve = commands.add_parser("serve", help=serve_text, allow_abbrev=False)
    add_flags(serve)
    serve.add_argument("--version", action="version", version=f"graft {version('graft')}")
    add_help(serve)
    commands.add_parser("migrate", help="say what would become of a TensorFlow Serving command line", add_help=False)
    for words, (text, _) in _TRAINER_COMMANDS.items():
        if len(words) == 1:
            commands.add_parser(words[0], help=text)
    client.add_commands(commands)
    bench.add_command(commands)
    return parser


def _said_elsewhere(words: Sequence[str]) -> set[str]:
    """Names of flags that the environment sets, or may be set in the file of settings."""
    if any(word.partition("=")[0] == "--config" for word in words):
        return {"host", "repository"}
    return {name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX)}


def _refuse(error: Exception, status: int = 2) -> int:
    print(f"graft serve: {error}", file=sys.stderr)
    return status


def _serve(parsed: argparse.Namespace, translation: Translation) -> int:
    try:
        settings = read_settings(parsed, os.environ)
    except SettingsError as error:
        return _refuse(error)
    if translation.refused:
        return _refuse(SettingsError("\n".join(one.sentence() for one in translation.refused)))
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    for one in translation.given:
        if one.flag.kind is not Kind.HONOURED:
            log.info("%s", one.sentence())
    import uvloop

    if settings.workers > 1:
        from service.wiring.crew import serve
    else:
        from service.wiring.process import serve

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except SettingsError as error:
        return _refuse(error)
    except (OSError, InvalidInput) as error:
        return _refuse(error, 1)
    return 0


if __name__ == "__main__":
    main()
