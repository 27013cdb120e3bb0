"""TF Serving's command line: what each of its flags becomes here. The one table; documentation is held against it.

Its flags have underscores and ours hyphens, so both may stand on one line; where both set the same, the later wins.
Translated, they are ordinary words of ``graft serve``, and whoever wants to know what is in force can read those.
"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from service.settings import SettingsError


class Kind(StrEnum):
    """What becomes of a flag."""

    HONOURED = "honoured"
    MAPPED = "mapped"
    """Taken, and means something slightly different here."""
    IGNORED = "ignored"
    REFUSED = "refused"


Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Flag:
    """One of its flags."""

    kind: Kind
    text: str
    """What it becomes, why it is ignored, or what to do instead: a clause for logs and documentation."""
    words: Callable[[str], Words] = field(default=lambda value: ())
    """A value as our words. Raises: ValueError, it cannot have this value."""
    truth: bool = False
    """Whether it is true or false, and may stand without a value."""
    harmless: frozenset[str] = frozenset()
    """Values with which a refused or ignored flag asks for nothing."""


def _to(name: str, convert: Callable[[str], str] = str) -> Callable[[str], Words]:
    return lambda value: (f"--{name}", convert(value))


def _truth(value: str) -> str:
    if value.lower() in ("true", "1"):
        return "true"
    if value.lower() in ("false", "0"):
        return "false"
    raise ValueError("it is true or false")


def _whole(value: str) -> str:
    return str(int(value))


def _not_negative(value: str) -> str:
    if int(value) < 0:
        raise ValueError("it must not be negative")
    return _whole(value)


def _seconds(parts: int) -> Callable[[str], str]:
    return lambda value: f"{int(value) / parts:g}"


def _warm_up(value: str) -> Words:
    # On is the default, and how often is another flag's to say.
    return () if _truth(value) == "true" else ("--warmup-iterations", "0")


def _iterations(value: str) -> Words:
    return ("--warmup-iterations", str(max(1, int(value))))


def _auto(name: str) -> Callable[[str], Words]:
    """Zero and less mean that the server chooses, as leaving it out does here."""
    return lambda value: (f"--{name}", value) if int(value) > 0 else ()


def _parallelism(value: str) -> Words:
    return (*_auto("intra-op-threads")(value), *_auto("inter-op-threads")(value))


def _honoured(setting: str, convert: Callable[[str], str] = str, text: str = "", *, truth: bool = False) -> Flag:
    return Flag(Kind.HONOURED, text or f"`--{setting}`", _to(setting, convert), truth)


def _ignored(why: str, *, truth: bool = False, harmless: str = "") -> Flag:
    return Flag(Kind.IGNORED, why, truth=truth, harmless=frozenset(harmless.split()))


def _refused(instead: str, *, truth: bool = False, harmless: str = "") -> Flag:
    return Flag(Kind.REFUSED, instead, truth=truth, harmless=frozenset(harmless.split()))


_EVENT_LOOP = "both doors run on one event loop; what runs at once is `--lanes`"
_FILE_POLL = "`--poll-seconds`; 0 looks once; less than 0, with which nothing would ever be served, is an error"

FLAGS: Mapping[str, Flag] = {
    "port": _honoured("grpc-port", _whole, "`--grpc-port`; 0 takes a free port, or none beside a socket"),
    "grpc_socket_path": _honoured("grpc-socket"),
    "rest_api_port": _honoured(
        "rest-port",
        _whole,
        "`--rest-port`; 0 takes a free port instead of turning REST off, for health and metrics live there",
    ),
    "rest_api_num_threads": _ignored(_EVENT_LOOP),
    "rest_api_timeout_in_ms": _honoured("request-timeout-seconds", _seconds(1000)),
    "rest_api_enable_cors_support": _honoured("cors", _truth, truth=True),
    "enable_batching": Flag(
        Kind.MAPPED,
        "always on where a probe shows that rows are independent; the file sets its limits",
        lambda value: (_truth(value), ())[1],
        truth=True,
    ),
    "batching_parameters_file": _honoured("batching-parameters-file"),
    "enable_per_model_batching_parameters": _honoured("per-model-batching", _truth, truth=True),
    "allow_version_labels_for_unavailable_models": _ignored(
        "a label may always name a version that is still to come; it takes effect when that version answers", truth=True
    ),
    "model_config_file": _honoured("model-config-file"),
    "model_config_file_poll_wait_seconds": _honoured("model-config-file-poll-wait-seconds"),
    "model_name": _honoured("model-name"),
    "model_base_path": _honoured("model-base-path"),
    "num_load_threads": Flag(
        Kind.HONOURED, "`--load-threads`; 0 means the default, for no load keeps others waiting", _auto("load-threads")
    ),
    "num_unload_threads": _ignored(
        "versions are freed on threads of their own, off the path of requests and of loads", harmless="0"
    ),
    "max_num_load_retries": _ignored("a failed version is tried again for as long as it is wanted"),
    "load_retry_interval_micros": _ignored(
        "tries are 1 s to 60 s apart, longer each time, and come at once when the version's files change"
    ),
    "file_system_poll_wait_seconds": _honoured("poll-seconds", _not_negative, _FILE_POLL),
    "flush_filesystem_caches": _ignored("files are not read through a cache of TensorFlow's", truth=True),
    "tensorflow_session_parallelism": Flag(
        Kind.HONOURED, "`--intra-op-threads` and `--inter-op-threads`", _parallelism
    ),
    "tensorflow_intra_op_parallelism": Flag(Kind.HONOURED, "`--intra-op-threads`", _auto("intra-op-threads")),
    "tensorflow_inter_op_parallelism": Flag(Kind.HONOURED, "`--inter-op-threads`", _auto("inter-op-threads")),
    "tensorflow_session_config_file": _refused(
        "there are no sessions; threads are set by tensorflow_intra_op_parallelism and tensorflow_inter_op_parallelism"
    ),
    "per_process_gpu_memory_fraction": _ignored(
        "memory on the card grows as models need it, and no further", harmless="0 0.0"
    ),
    "saved_model_tags": _honoured("saved-model-tags"),
    "ssl_config_file": _honoured("ssl-config-file"),
    "use_alts_credentials": _refused(
        "ALTS exists inside one cloud only; use ssl_config_file", truth=True, harmless="false 0"
    ),
    "platform_config_file": _refused(
        "there is one platform, tensorflow; what the file sets of it is set by batching_parameters_file and the "
        "tensorflow_ flags"
    ),
    "grpc_channel_arguments": _honoured("grpc-channel-arguments"),
    "grpc_max_threads": _ignored(_EVENT_LOOP),
    "enable_grpc_healthcheck_service": _ignored("health is always served, and follows the models' state", truth=True),
    "enable_model_warmup": Flag(Kind.HONOURED, "`--warmup-iterations`; false is 0", _warm_up, truth=True),
    "num_request_iterations_for_warmup": Flag(Kind.HONOURED, "`--warmup-iterations`; 0 is once", _iterations),
    "monitoring_config_file": _honoured("monitoring-config-file"),
    "remove_unused_fields_from_bundle_metagraph": _ignored(
        "nothing but the signatures is kept anyway", truth=True, harmless="true 1"
    ),
    "prefer_tflite_model": _honoured("prefer-tflite", _truth, truth=True),
    "num_tflite_pools": _ignored("there are as many interpreters as calls that run at once"),
    "num_tflite_interpreters_per_pool": _ignored("there are as many interpreters as calls that run at once"),
    "enable_signature_method_name_check": _ignored(
        "a signature is called by what it takes and gives, whatever method it names", truth=True
    ),
    "enable_serialization_as_tensor_content": _honoured(
        "tensor-content", _truth, "`--tensor-content`; REST works beside it", truth=True
    ),
    "xla_cpu_compilation_enabled": _ignored("answers are the same without it", truth=True, harmless="false 0"),
    "xla_gpu_compilation_enabled": _ignored("answers are the same without it", truth=True, harmless="false 0"),
    "enable_profiler": _ignored(
        "the profiler service is not there; latencies are in the metrics", truth=True, harmless="false 0"
    ),
    "thread_pool_factory_config_file": _refused("threads are set by `--lanes` and the tensorflow_ flags"),
    "mixed_precision": _refused("answers would change; convert the model before it is published instead"),
    "skip_initialize_tpu": _ignored("no TPU is ever initialised", truth=True),
    "version": Flag(Kind.MAPPED, "Graft's version", lambda value: ("--version",), truth=True),
}
"""Every flag of TF Serving 2.20."""

_MODELS = frozenset({"model_base_path", "model_config_file"})
_AS_THERE = {"host": ("--host", "0.0.0.0"), "repository": ("--discover", "false")}
"""What TF Serving does where nothing is said, by the flag of ours that would say it."""


@dataclass(frozen=True, slots=True)
class Given:
    """One flag as it was given."""

    name: str
    value: str
    flag: Flag

    @property
    def asks_for_nothing(self) -> bool:
        """Whether it only says what holds anyway."""
        return not self.value or self.value.lower() in self.flag.harmless

    def sentence(self) -> str:
        """What becomes of it."""
        verb = {Kind.HONOURED: "is", Kind.MAPPED: "becomes", Kind.IGNORED: "is ignored:", Kind.REFUSED: "is refused:"}
        return f"--{self.name}={self.value} {verb[self.flag.kind]} {self.flag.text}"


@dataclass(frozen=True, slots=True)
class Translation:
    """A command line in our own words."""

    words: tuple[str, ...]
    given: tuple[Given, ...]
    """TF Serving's flags that were in it, in order."""

    @property
    def refused(self) -> tuple[Given, ...]:
        """Those that cannot be had."""
        return tuple(one for one in self.given if one.flag.kind is Kind.REFUSED and not one.asks_for_nothing)


def add_help(parser: ArgumentParser) -> None:
    """List these flags where a command's own are listed; they are translated before anything is parsed. ``--version``
    is the command's own.
    """
    group = parser.add_argument_group("TensorFlow Serving's own flags, as --name=value or --name value")
    for name, flag in ((name, flag) for name, flag in FLAGS.items() if name != "version"):
        text = f"{flag.kind}: {flag.text}".replace("`", "")
        group.add_argument(
            f"--{name}", metavar="VALUE", nargs="?", default=SUPPRESS, dest=f"tfserving_{name}", help=text
        )


def translate(words: Sequence[str], said: Collection[str] = ()) -> Translation:
    """Replace TF Serving's flags by ours; every other word stays.

    Its ``--name=value``, ``--name value`` and, for what is true or false, ``--name``. Where they name the models, as TF
    Serving's command line does, only those are served, and on every address, as that does; unless ours say where to
    look for others, or where to listen. ``said`` are names of our flags that are said elsewhere.

    Raises:
        SettingsError: a flag lacks its value, has one that it cannot have, or contradicts another.
    """
    ours: list[str] = []
    given: list[Given] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        flag = FLAGS.get(name) if word.startswith("--") else None
        if flag is None:
            ours.append(word)
            continue
        if not equals:
            value = _value(name, flag, left)
        given.append(Given(name, value, flag))
        ours += _our_words(given[-1])
    _check_together(given)
    if any(one.name in _MODELS for one in given):
        ours_said = {word.partition("=")[0].removeprefix("--") for word in ours} | set(said)
        for needed, default in _AS_THERE.items():
            if needed not in ours_said:
                ours += default
    return Translation(tuple(ours), tuple(given))


def _value(name: str, flag: Flag, left: list[str]) -> str:
    if flag.truth:
        return left.pop(0) if left and left[0].lower() in ("true", "false") else "true"
    if not left or left[0].startswith("--"):
        raise SettingsError(f"--{name} needs a value")
    return left.pop(0)


def _our_words(one: Given) -> Words:
    if not one.value:
        return ()
    try:
        return one.flag.words(one.value)
    except ValueError as error:
        raise SettingsError(f"--{one.name}: {one.value!r} cannot be its value: {error}") from error


def _check_together(given: Sequence[Given]) -> None:
    values = {one.name: one.value for one in given}
    if values.get("batching_parameters_file") and _truth(values.get("enable_batching", "false")) == "false":
        raise SettingsError("--batching_parameters_file is set without setting --enable_batching to true")
    shares = {"tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism"} & values.keys()
    if int(values.get("tensorflow_session_parallelism") or 0) and any(int(values[name] or 0) for name in shares):
        raise SettingsError("--tensorflow_session_parallelism sets both parallelisms; give it or them, not both")
    if values.get("port", "0") not in ("", "0") and values["port"] == values.get("rest_api_port"):
        raise SettingsError("--rest_api_port must differ from --port")
