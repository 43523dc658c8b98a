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

    def test_the_proxy_beside_the_compose_file_is_the_one_that_was_tried(self):
        def inner(text: str) -> str:
            lines = (line.partition("#")[0].strip() for line in text.splitlines())
            code = " ".join(filter(None, lines))
            # How web processes are found is another matter among containers.
            found = r"(upstream streamsite|resolver|set \$web|proxy_pass) .*?[;}] "
            code = re.sub(found, "", code)
            return code[code.index("client_max_body_size") : code.rindex("}")]

        told = re.search(r"```nginx\n(.*?)```", section("Scale out"), re.S)[1]
        self.assertEqual(inner(told), inner((ROOT / ".compose" / "nginx.conf").read_text()))

    def test_the_compose_file_sets_what_is_a_setting(self):
        named = set(re.findall(r"(STREAMSITE_\w+):", (ROOT / ".compose/compose.yaml").read_text()))
        self.assertLessEqual(named, set(re.findall(r"^\| `(\w+)`", section("Settings"), re.M)))
        self.assertTrue(named)
