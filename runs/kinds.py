"""What can be launched and how it becomes processes. A new kind goes here."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from .sandboxes.base import Cell, Launch, Process

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
ENV_COUNT = 100
ENV_BYTES = 64 * 1024
# A shorter value cannot be masked: in most output it would be found by accident.
SECRET_CHARS = 8
TITLE_LENGTH = 120
NOTEBOOK_LANGUAGES = {
    "local": ("python",),
    "e2b": ("python", "javascript", "typescript", "r", "java", "bash"),
}

# By what an agent reaches the model. One of these from the user replaces all of ours:
# the server's key must not go to an address that a user gave.
AGENT_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
AGENT_ACCESS = (*AGENT_KEYS, "ANTHROPIC_BASE_URL")
# What makes interpreters run or load something before an agent's program does: with it
# anybody could print the server's key, past the program that masks it.
STEERS = re.compile(r"PYTHON.*|LD_.*|BASH_ENV|ENV|BROWSER|NODE_.*|GCONV_PATH|SHELLOPTS|BASH_FUNC.*")
# The kernel takes no environment value of 128 KiB; a character has at most 4 bytes.
PROMPT_PART = 24_000


class InvalidSpec(Exception):
    """A launch was refused; `fields` maps a field's name to a sentence."""

    def __init__(self, fields: dict[str, str]):
        super().__init__(" ".join(fields.values()))
        self.fields = fields


class NotConfigured(Exception):
    """This server cannot run that kind yet; the message says what to set."""


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    label: str
    hint: str
    modes: tuple[str, ...] = ()


KINDS = {
    kind.name: kind
    for kind in (
        Kind("command", "Shell command", "Run by bash in a sandbox of its own."),
        Kind(
            "python",
            "Python",
            "As a script (plain, fast, lossless) or as a notebook cell (rich results).",
            modes=("script", "notebook"),
        ),
        Kind("parallel", "Parallel tasks", "Several shell commands side by side in one sandbox."),
        Kind("agent", "Claude agent", "A prompt that a Claude agent works on."),
    )
}


@dataclass(frozen=True, slots=True)
class Spec:
    """A checked launch request: what a person asked for, with every default filled in."""

    kind: str
    program: str | list[str]
    mode: str = ""
    language: str = ""
    timeout: float = 300
    env: dict[str, str] = field(default_factory=dict, repr=False)
    # Names in `env` whose values are no secrets.
    plain_env: tuple[str, ...] = ()
    # Names of the owner's saved secrets, which join the environment under them.
    secrets: tuple[str, ...] = ()
    cwd: str = ""
    stdin: bool = False
    title: str = ""


def parse_spec(values: Mapping) -> Spec:
    """Check a launch request as the API and the form send it.

    Raises InvalidSpec with one sentence per field, all of them at once.
    """
    errors: dict[str, str] = {}

    def checked(name, check, *args):
        try:
            return check(values.get(name), *args)
        except ValueError as error:
            errors[name] = str(error)

    unknown = sorted(set(values) - set(Spec.__dataclass_fields__))
    if unknown:
        errors[str(unknown[0])[:80]] = (
            f"Unknown field. Use only {', '.join(Spec.__dataclass_fields__)}."
        )
    kind = checked("kind", _kind)
    mode = checked("mode", _mode, kind)
    spec = {
        "kind": kind,
        "program": checked("program", _program, kind),
        "mode": mode,
        "language": checked("language", _language, kind, mode),
        "timeout": checked("timeout", _timeout),
        "env": checked("env", _env, kind),
        "plain_env": checked("plain_env", _plain_env, values.get("env")),
        "secrets": checked("secrets", _secrets, values.get("env"), kind),
        "cwd": checked("cwd", _cwd),
        "stdin": checked("stdin", _stdin, mode),
        "title": checked("title", _title),
    }
    if not errors and (short := _too_short(spec["env"], spec["plain_env"])):
        errors["env"] = short
    if errors:
        raise InvalidSpec(errors)
    return Spec(**{**spec, "title": spec["title"] or default_title(spec["program"])})


def check_configured(spec: Spec) -> None:
    """Raises NotConfigured if this server cannot run that kind."""
    if spec.kind == "agent" and (missing := list(_missing_for_agents(spec.env))):
        todo = " and ".join([", ".join(missing[:-1]), missing[-1]]) if missing[1:] else missing[0]
        raise NotConfigured(
            f"Agent runs are not configured on this server. To have them, {todo}, "
            "then restart it. Or launch another kind."
        )


def _missing_for_agents(env: dict[str, str]):
    if not settings.ANTHROPIC_API_KEY and not set(AGENT_ACCESS) & set(env):
        yield "set ANTHROPIC_API_KEY"
    if settings.SANDBOX == "e2b":
        if not settings.E2B_AGENT_TEMPLATE:
            yield "set STREAMSITE_E2B_AGENT_TEMPLATE to a template that holds claude-agent-sdk"
        return
    # Local programs run on the server's own Python.
    if find_spec("claude_agent_sdk") is None:
        yield "install claude-agent-sdk (the extra `agent`)"
    if settings.LOCAL_CONFINE and not settings.LOCAL_NETWORK:
        yield "set STREAMSITE_LOCAL_NETWORK=1"


def default_title(program: str | list[str]) -> str:
    """The first line that says something: no comment, shebang or import, if there is one."""
    first = program[0] if isinstance(program, list) else program
    lines = [line.strip() for line in first.splitlines() if line.strip()]
    telling = (line for line in lines if not line.startswith(("#", "import ", "from ", "set -")))
    title = next(telling, lines[0] if lines else "")
    title = "".join(char if char.isprintable() else " " for char in title) or "Untitled"
    return title if len(title) <= 80 else title[:79] + "…"


def launch_of(
    *, run_id: str, owner: str, kind: str, mode: str, language: str, program: str | list[str],
    env: dict[str, str], secret_env: dict[str, str], cwd: str, stdin: bool,
) -> Launch:  # fmt: skip
    """How a run becomes processes, or a cell in notebook mode.

    `env` and `secret_env` both become its environment; the latter's values are masked.
    """
    cell, processes = None, ()
    env = env | secret_env
    if kind == "parallel":
        # Numbered from 1: task 0 is the run itself.
        processes = tuple(Process(n, "bash", text) for n, text in enumerate(program, start=1))
    elif mode == "notebook":
        cell = Cell(language or "python", program)
    elif kind == "agent":
        processes = (Process(0, "agent", agent_program()),)
        env = agent_env(program, env)
        secret_env = secret_env | {name: env[name] for name in AGENT_KEYS if name in env}
    else:
        processes = (Process(0, "python" if kind == "python" else "bash", program),)
    return Launch(
        run_id=run_id, owner=owner, processes=processes, cell=cell, env=env,
        secrets=tuple(secret_env.values()), cwd=cwd or None, stdin=stdin,
    )  # fmt: skip


@cache
def agent_program() -> str:
    return (Path(__file__).parent / "sandboxes" / "agent_main.py").read_text()


def agent_env(prompt: str, env: dict[str, str]) -> dict[str, str]:
    """What an agent's program finds in its environment: the prompt as a value, never as
    source, and access to the model, which is kept nowhere but in the settings."""
    access = {}
    if not set(AGENT_ACCESS) & set(env):
        ours = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
        access = {name: value for name in ours if (value := getattr(settings, name))}
    starts = range(0, len(prompt), PROMPT_PART)
    parts = {
        f"STREAMSITE_PROMPT_{number}": prompt[start : start + PROMPT_PART]
        for number, start in enumerate(starts, start=1)
    }
    return {**access, **env, **parts}


def _kind(value) -> str:
    if not value:
        raise ValueError(f"Choose a kind: {', '.join(KINDS)}.")
    if not isinstance(value, str) or value not in KINDS:
        raise ValueError(f"Unknown kind. Use one of {', '.join(KINDS)}.")
    return value


def _mode(value, kind: str | None) -> str:
    modes = KINDS[kind].modes if kind else ()
    if value in (None, ""):
        return modes[0] if modes else ""
    if kind and not modes:
        raise ValueError(f"Runs of kind {kind} have no mode. Leave it out.")
    if kind and value not in modes:
        raise ValueError(f"Unknown mode. Use one of {', '.join(modes)}.")
    return value


def _language(value, kind: str | None, mode: str | None) -> str:
    if value in (None, ""):
        return "python" if kind == "python" else ""
    languages = NOTEBOOK_LANGUAGES[settings.SANDBOX] if mode == "notebook" else ("python",)
    if kind in ("python", None) and value in languages:
        return value
    raise ValueError(f"Here it can only be {', '.join(languages)}. Leave the language out.")


def _text(value, what: str, limit: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string.")
    if "\0" in value:
        raise ValueError(f"{what} contains a NUL byte. Remove it.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} contains half of a surrogate pair. Remove it.") from None
    if size > limit:
        raise ValueError(f"{what} is {size:,} bytes long; the most allowed is {limit:,}.")
    return value


def _program(value, kind: str | None) -> str | list[str]:
    limit = settings.PROGRAM_BYTES
    if kind == "parallel":
        return _programs(value, limit)
    if isinstance(value, list):
        raise ValueError("A list of programs is for the kind parallel. Give one string.")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("The program is empty. Write what should run.")
    text = _text(value, "The program", limit)
    # Browsers send CRLF from a text area; bash would take the CR for a character.
    return text.replace("\r\n", "\n")


def _programs(value, limit: int) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError("Give the commands of a parallel run as a list, one per task.")
    if len(value) > settings.MAX_TASKS:
        raise ValueError(f"{len(value):,} tasks; the most allowed is {settings.MAX_TASKS}.")
    programs = [_program(item, None) for item in value]
    _text("".join(programs), "All tasks together", limit)
    return programs


def _timeout(value) -> float:
    if value in (None, ""):
        return settings.TIMEOUT_DEFAULT
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("The timeout must be a number of seconds, 0 for none.")
    if not math.isfinite(value) or not 0 <= value <= settings.TIMEOUT_MAX:
        raise ValueError(f"The timeout must be from 0 (none) to {settings.TIMEOUT_MAX:,} seconds.")
    return value


def _env(value, kind: str | None) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("The environment must be an object of names and string values.")
    if len(value) > ENV_COUNT:
        raise ValueError(f"At most {ENV_COUNT} environment values are allowed.")
    for name, item in value.items():
        check_env_name(name)
        if kind == "agent" and STEERS.fullmatch(name) and not set(AGENT_ACCESS) & set(value):
            raise ValueError(
                f"{name[:40]} is not allowed beside the server's own key. "
                "Leave it out, or bring your own ANTHROPIC_API_KEY."
            )
        _text(item, f"The value of {name[:40]}", ENV_BYTES)
    if sum(len(name) + len(item.encode()) for name, item in value.items()) > ENV_BYTES:
        raise ValueError(f"The environment is too large; at most {ENV_BYTES:,} bytes are allowed.")
    return dict(value)


def check_env_name(name) -> None:
    """Raises ValueError, with a sentence, if no environment value can be called so."""
    if not isinstance(name, str) or not ENV_NAME.fullmatch(name):
        raise ValueError(
            f"{str(name)[:40]!r} is no environment name. "
            "Use letters, digits and _, not beginning with a digit."
        )
    if name.startswith("STREAMSITE_"):
        raise ValueError(f"{name[:40]} is reserved. Choose a name without STREAMSITE_.")


def check_secret(value: str) -> None:
    """Raises ValueError, with a sentence, if a value cannot be kept as a secret."""
    _text(value, "The value", ENV_BYTES)
    if len(value.strip()) < SECRET_CHARS:
        raise ValueError(
            f"It is too short to be masked in output: {SECRET_CHARS} characters are the least. "
            "Give it as a plain value if it is no secret, or use a longer one."
        )


def _names(value, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{what} must be a list of names.")
    return list(dict.fromkeys(value))


def _plain_env(value, env) -> tuple[str, ...]:
    if value is None:
        return ()
    for name in (names := _names(value, "plain_env")):
        if not isinstance(env, dict) or name not in env:
            raise ValueError(f"{name[:40]} is not in env. Name only values that are.")
    return tuple(names)


def _secrets(value, env, kind: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names = _names(value, "secrets")
    if twice := next((name for name in names if isinstance(env, dict) and name in env), None):
        raise ValueError(f"{twice[:40]} is in env, too. Keep one of the two.")
    # The same names are refused as in env; what they stand for was checked when it was saved.
    _env(dict.fromkeys(names, ""), kind)
    return tuple(names)


def _too_short(env: dict[str, str], plain: tuple[str, ...]) -> str:
    """A sentence on the values that could not be masked; "" if there are none."""
    secret = ((name, value) for name, value in env.items() if name not in plain)
    short = [name for name, value in secret if 0 < len(value.strip()) < SECRET_CHARS]
    if not short:
        return ""
    return (
        f"{', '.join(short)[:200]}: too short to be masked in output, {SECRET_CHARS} characters "
        "are the least. Mark it as plain if it is no secret, or use a longer value."
    )


def _cwd(value) -> str:
    return "" if value in (None, "") else _text(value, "The working directory", 1024)


def _stdin(value, mode: str | None) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError("stdin must be true or false.")
    if value and mode == "notebook":
        raise ValueError("Notebook mode has no stdin. Use script mode.")
    return value


def _title(value) -> str:
    if value in (None, ""):
        return ""
    # Shown in lists of other people's runs: nothing that turns or hides text.
    title = _text(value, "The title", TITLE_LENGTH * 4)
    text = " ".join("".join(char if char.isprintable() else " " for char in title).split())
    if len(text) > TITLE_LENGTH:
        raise ValueError(f"The title is too long; at most {TITLE_LENGTH} characters are allowed.")
    return text
