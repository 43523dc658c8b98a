"""The launch form: what a browser sends, what parse_spec takes, what is drawn again."""

from dataclasses import dataclass, field

from django.conf import settings
from django.http import QueryDict

from ..examples import Example
from ..kinds import KINDS, NotConfigured, Spec, check_configured
from ..models import LimitReached, Run

TASKS_SHOWN = 2
SECRET, PLAIN = "secret", "plain"


@dataclass(slots=True)
class LaunchForm:
    """Everything as it was typed; `errors` maps a field's name to a sentence."""

    kind: str = "command"
    program: str = ""
    tasks: list[str] = field(default_factory=list)
    mode: str = "script"
    timeout: str = ""
    # (name, value, "secret" or "plain")
    env: list[tuple[str, str, str]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    cwd: str = ""
    stdin: bool = False
    title: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    refused: LimitReached | None = None

    @classmethod
    def from_post(cls, post: QueryDict) -> "LaunchForm":
        names, values = post.getlist("env_name"), post.getlist("env_value")
        kinds = post.getlist("env_kind") + [SECRET] * len(names)
        env = zip(names, values, kinds, strict=False)
        return cls(
            kind=post.get("kind", ""),
            program=post.get("program", ""),
            tasks=post.getlist("task"),
            mode=post.get("mode", ""),
            timeout=post.get("timeout", ""),
            env=[row for row in env if row[0].strip() or row[1]],
            secrets=post.getlist("secret"),
            cwd=post.get("cwd", ""),
            stdin="stdin" in post,
            title=post.get("title", ""),
        )

    @classmethod
    def from_run(cls, run: Run) -> "LaunchForm":
        """The form that launched a run, without the values that are secret."""
        return cls(
            **_programs(run.kind, run.program),
            mode=run.mode,
            timeout=f"{run.timeout:g}",
            env=[
                *((name, "", SECRET) for name in run.env_typed),
                *((name, value, PLAIN) for name, value in run.env_plain.items()),
            ],
            secrets=list(run.saved_secrets),
            cwd=run.cwd,
            stdin=run.stdin,
            title=run.title,
        )

    @classmethod
    def from_example(cls, example: Example) -> "LaunchForm":
        return cls(
            **_programs(example.kind, example.program),
            mode=example.mode,
            timeout=f"{example.timeout:g}",
            title=example.title,
        )

    def values(self) -> dict:
        """What parse_spec takes; a field of another kind is left out."""
        env = self.checked_env()
        values = {
            "kind": self.kind,
            "program": self._program(),
            "timeout": _number(self.timeout),
            "env": env,
            "plain_env": [n.strip() for n, _, kind in self.env if kind == PLAIN and n.strip()],
            "secrets": self.secrets,
            "cwd": self.cwd.strip(),
            "stdin": self.stdin,
            "title": self.title,
        }
        return values | ({"mode": self.mode} if self.kind == "python" else {})

    def checked_env(self) -> dict[str, str]:
        env = {}
        for name, value, _ in self.env:
            if not name.strip():
                self.errors["env"] = "A value has no name. Give it one, or empty the value."
            elif name.strip() in env:
                self.errors["env"] = f"{name.strip()[:40]} is there twice. Keep one of the two."
            env[name.strip()] = value
        env.pop("", None)
        return env

    def add_row(self, what: str) -> None:
        """One more task or environment row, for browsers that run no script."""
        if what == "task":
            self.tasks.append("")
        else:
            self.env.append(("", "", SECRET))

    # --- for the template --------------------------------------------------------

    @property
    def kinds(self) -> list[dict]:
        """The cards: each kind, whether it is chosen, and why it cannot be."""
        return [
            {"kind": kind, "checked": kind.name == self.kind, "refusal": refusal(kind.name)}
            for kind in KINDS.values()
        ]

    @property
    def task_rows(self) -> list[str]:
        return self.tasks + [""] * (TASKS_SHOWN - len(self.tasks))

    @property
    def env_rows(self) -> list[tuple[str, str, str]]:
        return self.env or [("", "", SECRET)]

    @property
    def advanced_open(self) -> bool:
        typed = self.env or self.secrets or self.cwd or self.stdin
        return bool(typed or self.errors.keys() & {"env", "plain_env", "secrets", "cwd", "stdin"})

    @property
    def timeout_default(self) -> int:
        return settings.TIMEOUT_DEFAULT

    def _program(self) -> str | list[str]:
        if self.kind != "parallel":
            return self.program
        tasks = [task for task in self.tasks if task.strip()]
        if not tasks:
            self.errors["program"] = "Every task is empty. Write at least one command."
        return tasks


def refusal(kind: str) -> str:
    """Why this server cannot run a kind; empty if it can."""
    try:
        check_configured(Spec(kind=kind, program="-"))
    except NotConfigured as error:
        return str(error)
    return ""


def _programs(kind: str, program: str | list[str]) -> dict:
    if isinstance(program, list):
        return {"kind": kind, "tasks": list(program)}
    return {"kind": kind, "program": program}


def _number(text: str):
    """The number a field holds, None if it is empty; else the text, to be refused."""
    text = text.strip()
    try:
        return float(text) if text else None
    except ValueError:
        return text
