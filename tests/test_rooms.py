"""Rooms import downwards only; README tells the order."""

import ast
from pathlib import Path

from django.test import SimpleTestCase

ROOT = Path(__file__).resolve().parent.parent

# What each room may import, itself aside.
MAY = {
    "sandboxes": set(),
    "kinds": {"sandboxes"},
    "fields": set(),
    "models": {"kinds"},
    "streaming": {"models"},
    "execution": {"sandboxes", "streaming", "models", "kinds"},
    "examples": set(),
    "web": {"streaming", "models", "kinds", "execution.dispatch", "examples"},
    "admin": {"streaming", "models", "kinds", "execution.dispatch", "web"},
    "management": {"streaming", "models", "kinds", "execution.dispatch"},
    "checks": set(),
    "apps": {"checks"},
}


def imports_of(path: Path) -> set[str]:
    """Modules of ours that a file imports, without the leading `runs.`."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.removeprefix("runs.") for name in names if name.startswith("runs.")}
        found |= {name for name in names if name.startswith("streamsite.")}
    return found


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
