"""Secrets of a run, from the launch to every place where output can be read."""

import json
import logging
from contextlib import suppress
from pathlib import Path

from asgiref.sync import sync_to_async
from django.test import Client

from runs.execution import dispatch
from runs.models import Run, SavedSecret
from runs.streaming import database
from runs.streaming.exports import FORMATS, export
from tests.people import make_user

from .helpers import CarryingTestCase

KEY = "sk-ümläut/+?=&%20 tail"
CERTIFICATE = """-----BEGIN KEY-----
MIIEvQIBADANBgkqhkiG
9w0BAQEFAASCBKcwggSj
ab
-----END KEY-----"""
# Prints its environment in every encoding that is masked, whole and in pieces.
LEAK = """
import base64, json, os, sys, textwrap, time, urllib.parse
for name in ("KEY", "CERTIFICATE"):
    value = os.environ[name]
    data = value.encode()
    print(name, "has", len(value), "characters")
    forms = [value, json.dumps(value), json.dumps(value, ensure_ascii=False),
             urllib.parse.quote(value), urllib.parse.quote(value, safe=""),
             urllib.parse.quote_plus(value), urllib.parse.quote(value, safe="").lower(),
             base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode(),
             base64.b64encode(b"x" + data + b"yz").decode(),
             base64.b64encode(b"xy" + data).decode(),
             base64.encodebytes(data * 3).decode(), "\\x1b[31m".join(value),
             *value.splitlines()]
    for form in forms:
        print("whole:", form, file=sys.stderr if "x" in form else sys.stdout)
        sys.stdout.write("pieces: ")
        for character in form:
            sys.stdout.write(character)
            sys.stdout.flush()
        print()
    print(json.dumps({"type": "leak", "data": {"key": value, "lines": value.splitlines()}}))
raise ValueError(os.environ["KEY"])
"""


def leaks_in(text: str) -> list[str]:
    """Beginnings of lines that nobody may read, whatever they are encoded in."""
    kept = [KEY, *(line for line in CERTIFICATE.splitlines() if len(line) >= 8)]
    forms = [form for one in kept for form in (one, json.dumps(one)[1:-1])]
    return [form for form in forms if form in text]


def command_lines() -> list[bytes]:
    """Of all processes, as anybody on the machine may list them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return lines


class SecretTests(CarryingTestCase):
    async def leaking(self, **fields) -> Run:
        env = {"KEY": KEY, "CERTIFICATE": CERTIFICATE, "LEVEL": "debug"}
        return await self.carry(LEAK, "python", env=env, plain_env=["LEVEL"], **fields)

    async def test_they_are_in_nothing_that_can_be_read(self):
        with self.assertLogs(level=logging.DEBUG) as logs:
            logging.getLogger("runs").info("What follows is looked through.")
            async with self.executing():
                run = await self.leaking()
        self.assertEqual(run.status, "failed")
        self.assertIn("KEY has 22 characters", await self.text(run))
        self.assertGreater(run.masked, 40)
        read = await self.everything(run)
        read["log lines"] = "\n".join(logs.output)
        read["row"] = str(await Run.objects.filter(pk=run.pk).values().aget())
        for place, text in read.items():
            with self.subTest(place):
                self.assertEqual(leaks_in(text), [])
                self.assertNotIn("c2stw7xtb", text)  # base64
                self.assertNotIn("%C3%BCml", text)

    @sync_to_async
    def everything(self, run) -> dict[str, str]:
        """What the owner gets from every page and call, by address."""
        client = Client()
        client.force_login(self.alice)
        api = f"/api/runs/{run.public_id}"
        paths = [f"/runs/{run.public_id}/", "/runs/", "/", f"/?from={run.public_id}", api]
        paths += [f"{api}/chunks?limit=5000", f"{api}/search?q=sk-", "/account/"]
        read = {path: client.get(path).content.decode() for path in paths}
        root = make_user("root", is_staff=True, is_superuser=True)
        client.force_login(root)
        admin = [f"/admin/runs/run/{run.pk}/change/", "/admin/runs/chunk/", "/admin/runs/run/"]
        read |= {path: client.get(path).content.decode() for path in admin}
        return read | {name: b"".join(export(run, name)).decode() for name in FORMATS}

    async def test_the_run_says_how_often_and_what_was_plain(self):
        async with self.executing():
            env = {"KEY": "very secret", "LEVEL": "debug"}
            program = "for n in 1 2 3; do echo $KEY at $LEVEL; done"
            run = await self.carry(program, env=env, plain_env=["LEVEL"])
        self.assertEqual(await self.text(run), "*** at debug\n" * 3)
        self.assertEqual((run.masked, run.env_sealed), (3, ""))
        self.assertEqual((run.env_plain, run.env_typed), ({"LEVEL": "debug"}, ["KEY"]))

    async def test_processes_of_others_do_not_show_them(self):
        async with self.executing():
            program = "echo up; read x"
            run = await self.submit(program, env={"KEY": "never to be listed"}, stdin=True)
            run = await self.printed(run, "up")
            self.assertFalse([one for one in command_lines() if b"never to be listed" in one])
            await dispatch.send_stdin(run, 0, None)
            await self.ended(run)

    async def test_saved_ones_are_used_by_name_and_again(self):
        await database.write(SavedSecret.objects.save_value, self.alice, "KEY", "kept for long")
        async with self.executing():
            run = await self.carry("echo $KEY ${#KEY}", secrets=["KEY"])
            self.assertEqual(await self.text(run), "*** 13\n")
            self.assertEqual((run.saved_secrets, run.env_typed), (["KEY"], []))
            again = await self.carry(**await self.again(run))
            self.assertEqual(await self.text(again), "*** 13\n")
        saved = await SavedSecret.objects.aget()
        self.assertIsNotNone(saved.used_at)
        self.assertNotIn("kept", saved.sealed)

    async def again(self, run) -> dict:
        fields = run.respec()
        return {name: fields[name] for name in ("program", "kind", "env", "plain_env", "secrets")}
