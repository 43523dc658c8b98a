"""Rooms import downwards only; README tells the order."""

import re
from pathlib import Path

from django.test import SimpleTestCase

ROOT = Path(__file__).resolve().parent.parent

# What each room may import, itself aside.
MAY = {
    "sandboxes": set(),
    "kinds": {"sandboxes"},
    "fields": set(),
    "logs": set(),
    "signing": set(),
    "targets": set(),
    "metrics": set(),
    "access": {"metrics", "signing"},
    "models": {"kinds", "access", "signing"},
    "streaming": {"models", "access", "logs", "metrics"},
    "execution": {
        "sandboxes",
        "streaming",
        "models",
        "kinds",
        "logs",
        "metrics",
        "targets",
    },
    "examples": set(),
    "web": {
        "streaming",
        "access",
        "models",
        "kinds",
        "execution.dispatch",
        "examples",
        "logs",
        "metrics",
        "targets",
    },
    "admin": {"streaming", "access", "models", "kinds", "execution.dispatch", "web"},
    "management": {"streaming", "access", "signing", "models", "kinds", "execution.dispatch"},
    "checks": set(),
    "apps": {"checks", "access"},
}


# By pattern: in 3.11 the ast module fails now and then where other threads were at work.
IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)|import[ \t]+([\w.]+))",
    re.MULTILINE,
)


def imports_of(path: Path) -> set[str]:
    """Modules of ours that a file imports, without the leading `runs.`."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for dots, module, names, plain in IMPORT.findall(path.read_text()):
        if plain:
            found.add(plain)
            continue
        base = package[: len(package) - len(dots) + 1] if dots else ()
        source = ".".join([*base, *([module] if module else [])])
        listed = re.sub(r"#[^\n]*|[()]", "", names).split(",")
        found |= {f"{source}.{name.split()[0]}" for name in listed if name.strip()}
    ours = {name.removeprefix("runs.") for name in found if name.startswith("runs.")}
    return ours | {name for name in found if name.startswith("streamsite.")}


def is_allowed(name: str, room: str) -> bool:
    allowed = {room, *MAY[room]}
    if "models" in allowed:
        allowed.add("fields")  # their own field types
    return any(name == one or name.startswith(one + ".") for one in allowed)


class RoomTests(SimpleTestCase):
    def test_rooms_import_downwards_only(self):
        wrong = []
        for path in sorted((ROOT / "runs").rglob("*.py")):
            room = path.relative_to(ROOT / "runs").parts[0].removesuffix(".py")
            if room in ("__init__", "migrations"):
                continue
            wrong += [
                f"{path.relative_to(ROOT)} imports {name}"
                for name in sorted(imports_of(path))
                if not is_allowed(name, room)
            ]
        self.assertEqual(wrong, [])
