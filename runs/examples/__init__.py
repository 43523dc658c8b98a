"""Ready-made programs of the launch page: real files beside examples.json."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Example:
    """One launch request that works as it is, with a sentence that says what it shows."""

    name: str
    title: str
    sentence: str
    kind: str
    program: str | list[str]
    mode: str = ""
    timeout: float = 300

    def spec(self) -> dict:
        """The fields that kinds.parse_spec takes."""
        spec = {"kind": self.kind, "program": self.program, "timeout": self.timeout}
        return spec | {"title": self.title} | ({"mode": self.mode} if self.mode else {})


@cache
def examples() -> dict[str, Example]:
    """Every example by name, in the order of the page."""
    listed = json.loads((HERE / "examples.json").read_text())
    return {item["name"]: _example(**item) for item in listed}


def _example(*, file: str | list[str], **values) -> Example:
    return Example(**values, program=_read(file))


def _read(file: str | list[str]) -> str | list[str]:
    if isinstance(file, list):
        return [_read(name) for name in file]
    return (HERE / file).read_text().rstrip("\n")
