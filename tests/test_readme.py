"""README says what is there."""

import re
from pathlib import Path

from django.test import SimpleTestCase

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


class ReadmeTests(SimpleTestCase):
    def test_every_setting_has_a_row_and_every_row_is_a_setting(self):
        rows = set(re.findall(r"^\| `([A-Z_0-9]+)`", section("Settings"), re.M))
        code = "".join(path.read_text() for path in (ROOT / "streamsite").rglob("*.py"))
        self.assertEqual(
            rows, set(re.findall(r'"((?:STREAMSITE_|REDIS_|DATABASE_)[A-Z_0-9]+)"', code))
        )

    def test_the_two_commands_are_one_line_each(self):
        for title in ("Run it", "Test it"):
            block = re.search(r"```sh\n(.*?)```", section(title), re.S)[1]
            self.assertEqual(block.count("\n"), 1, title)

    def test_every_path_it_names_is_there(self):
        for path in re.findall(r"`((?:runs|streamsite|tests)/[\w./]*[\w/])`", README):
            self.assertTrue((ROOT / path).exists(), path)
