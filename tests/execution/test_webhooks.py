"""Webhooks: real targets on this machine, good ones, slow ones and hostile ones."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock, skipUnless

from asgiref.sync import sync_to_async
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from runs.execution import posting
from runs.execution.webhooks import Deliverer
from runs.models import Delivery, Run, Status, Webhook, webhook
from runs.streaming import database
from tests.factories import make_run
from tests.people import make_user
from tests.streaming.helpers import make_held_run

from .helpers import CarryingTestCase

README = Path(__file__).resolve().parents[2] / "README.md"
GOOD = b"HTTP/1.1 204 No Content\r\n\r\n"
ALL = list(webhook.FINAL)
SECONDS = 20.0


class TargetServer:
    """Takes requests and answers each with the next of `answers`, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests: list[tuple[dict, bytes]] = []
        self.closed = asyncio.Event()

    async def __call__(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")[1:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["Content-Length"]))
        self.requests.append((headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.closed.set()


async def hang(writer):
    await asyncio.sleep(3600)


async def gigabyte(writer):
    """1 GB, as fast as it is taken; how much went out is kept on the function."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    gigabyte.sent = 0
    for _ in range(16_384):
        writer.write(b"x" * 65_536)
        await writer.drain()
        gigabyte.sent += 65_536


async def endless_head(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Filler: " + b"y" * 1000 + b"\r\n")
        await writer.drain()


async def drip(writer):
    while True:
        writer.write(b"H")
        await writer.drain()
        await asyncio.sleep(0.05)


@override_settings(WEBHOOK_PRIVATE=True, WEBHOOK_HTTP=True)
class WebhookCase(TransactionTestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.addCleanup(database.close_connections)

    @asynccontextmanager
    async def target(self, *answers, **options):
        """A server that is alice's webhook."""
        server = TargetServer(*(answers or (GOOD,)))
        listening = await asyncio.start_server(server, "127.0.0.1", 0, **options)
        server.port = listening.sockets[0].getsockname()[1]
        scheme = "https" if options else "http"
        server.secret = await self.lead_to(f"{scheme}://127.0.0.1:{server.port}/hook?a=b")
        try:
            yield server
        finally:
            listening.close()

    @sync_to_async
    def lead_to(self, url: str, statuses=ALL) -> str:
        return Webhook.objects.save_target(self.alice, url, statuses)

    @sync_to_async
    def end_a_run(self, status=Status.SUCCEEDED, **fields) -> Run:
        run = make_held_run(self.alice, **fields)
        self.assertTrue(Run.objects.finish(run, status, exit_code=0))
        return Run.objects.get(pk=run.pk)

    async def deliver(self) -> Delivery:
        """Send what is due; the newest delivery then."""
        deliverer = Deliverer()
        await deliverer.look()
        await deliverer.settle()
        return await Delivery.objects.alatest("pk")

    async def come_due(self) -> None:
        await Delivery.objects.aupdate(next_at=Now())

    async def wait_seconds(self) -> float:
        """In how many seconds the newest delivery is tried again."""
        newest = await Delivery.objects.annotate(now=Now()).alatest("pk")
        return (newest.next_at - newest.now).total_seconds()


class MessageTests(WebhookCase):
    async def test_what_is_sent_and_how_it_is_signed(self):
        async with self.target() as target:
            run = await self.end_a_run()
            with override_settings(SITE_URL="https://runs.example.org"):
                delivery = await self.deliver()
        self.assertEqual((delivery.state, delivery.status_code), ("delivered", 204))
        ((headers, body),) = target.requests
        message = json.loads(body)
        self.assertEqual(message["type"], "run.ended")
        self.assertRegex(message["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        told = message["data"]["run"]
        self.assertEqual((told["id"], told["status"], told["exit_code"]),
                         (run.public_id, "succeeded", 0))  # fmt: skip
        base = "https://runs.example.org"
        self.assertEqual(told["urls"]["page"], f"{base}/runs/{run.public_id}/")
        self.assertTrue(told["urls"]["websocket"].startswith("wss://runs.example.org/ws/"))
        self.assertEqual(headers["Host"], f"127.0.0.1:{target.port}")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(headers["webhook-id"], delivery.public_id)
        self.assertLess(abs(int(headers["webhook-timestamp"]) - time.time()), 60)
        key = base64.b64decode(target.secret.removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        self.assertEqual(headers["webhook-signature"], f"v1,{digest}")

    async def test_only_ends_that_were_asked_for_and_only_ones_own(self):
        async with self.target() as target:
            await self.lead_to(f"http://127.0.0.1:{target.port}/", ["failed"])
            await self.end_a_run()
            bob = await sync_to_async(make_user)("bob")
            await sync_to_async(make_run)(bob)
            self.assertFalse(await Delivery.objects.aexists())
            await self.end_a_run(Status.FAILED)
            self.assertEqual((await self.deliver()).state, "delivered")
        self.assertEqual(json.loads(target.requests[0][1])["data"]["run"]["status"], "failed")

    async def test_a_cancelled_run_that_never_began(self):
        async with self.target():
            run = await sync_to_async(make_run)(self.alice, Status.QUEUED)
            self.assertTrue(await sync_to_async(Run.objects.request_cancel)(run))
            delivery = await self.deliver()
        self.assertEqual((delivery.run, delivery.state), (run.public_id, "delivered"))

    async def test_a_test_has_no_run(self):
        async with self.target() as target:
            await sync_to_async(Delivery.objects.test)(await Webhook.objects.aget())
            await self.deliver()
        message = json.loads(target.requests[0][1])
        self.assertEqual((message["type"], message["data"]), ("test", {}))

    async def test_a_run_that_was_deleted_meanwhile(self):
        async with self.target() as target:
            run = await self.end_a_run()
            await run.adelete()
            delivery = await self.deliver()
        self.assertEqual((delivery.state, target.requests), ("given_up", []))
        self.assertIn("deleted", delivery.error)

    async def test_a_deactivated_account(self):
        async with self.target() as target:
            await self.end_a_run()
            self.alice.is_active = False
            await self.alice.asave()
            self.assertEqual((await self.deliver()).state, "given_up")
            await self.end_a_run()
        self.assertEqual((await Delivery.objects.acount(), target.requests), (1, []))


class TroubleTests(WebhookCase):
    async def refused(self, *answers, **options) -> str:
        async with self.target(*answers, **options):
            await self.end_a_run()
            delivery = await self.deliver()
        self.assertEqual((delivery.state, delivery.attempts), ("waiting", 1))
        self.assertRegex(delivery.error, r"\.$")
        return delivery.error

    async def test_it_fails_and_then_succeeds(self):
        async with self.target(b"HTTP/1.1 500 Oh\r\n\r\n", GOOD) as target:
            await self.end_a_run()
            delivery = await self.deliver()
            self.assertEqual((delivery.state, delivery.status_code), ("waiting", 500))
            self.assertEqual(delivery.error, "The target answered with status 500.")
            await self.deliver()  # nothing is due yet
            self.assertEqual(len(target.requests), 1)
            await self.come_due()
            delivery = await self.deliver()
            self.assertEqual((delivery.state, delivery.error), ("delivered", ""))
        first, second = (headers["webhook-id"] for headers, _ in target.requests)
        self.assertEqual(first, second)

    async def test_how_long_it_waits_before_it_tries_again(self):
        async with self.target(b"HTTP/1.1 503 Later\r\n\r\n") as target:
            await self.end_a_run()
            for seconds in webhook.RETRY_SECONDS:
                self.assertEqual((await self.deliver()).state, "waiting")
                self.assertLess(abs(await self.wait_seconds() - seconds), 5)
                await self.come_due()
            delivery = await self.deliver()
            self.assertEqual((delivery.state, delivery.attempts), ("given_up", 7))
            await self.come_due()
            await self.deliver()
        self.assertEqual(len(target.requests), 7)

    async def test_a_redirect_to_a_private_address_is_not_followed(self):
        async with self.target(GOOD) as private:
            place = f"http://127.0.0.1:{private.port}/".encode()
            error = await self.refused(b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\n\r\n")
        self.assertEqual(private.requests, [])
        self.assertIn("redirect (302), which is not followed", error)

    async def test_a_target_that_hangs(self):
        with mock.patch.object(posting, "SECONDS", 0.2):
            self.assertIn("did not answer within", await self.refused(hang))

    async def test_one_that_answers_a_byte_now_and_then(self):
        with mock.patch.object(posting, "SECONDS", 0.5):
            self.assertIn("did not answer within", await self.refused(drip))

    async def test_one_that_answers_a_gigabyte(self):
        async with self.target(gigabyte) as target:
            await self.end_a_run()
            self.assertEqual((await self.deliver()).state, "delivered")
            async with asyncio.timeout(SECONDS):
                await target.closed.wait()
        # What fits the buffers of two sockets.
        self.assertLess(gigabyte.sent, 64 * 1024**2)

    async def test_one_whose_head_never_ends(self):
        self.assertIn("not answer in HTTP", await self.refused(endless_head))

    async def test_one_that_speaks_something_else(self):
        self.assertIn("not answer in HTTP", await self.refused(b"220 smtp ready\r\n\r\n"))
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        self.assertIn("not to the end", await self.refused(interim * 9))
        self.assertIn("not to the end", await self.refused(b"HTTP/1.1 2"))

    async def test_interim_answers_are_passed_over(self):
        async with self.target(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GOOD):
            await self.end_a_run()
            self.assertEqual((await self.deliver()).state, "delivered")

    async def test_nobody_there(self):
        async with self.target() as target:
            await self.lead_to(f"http://127.0.0.1:{target.port}/")
        await self.end_a_run()
        self.assertEqual((await self.deliver()).error, "The target cannot be reached.")

    async def test_a_certificate_that_nobody_trusts(self):
        error = await self.refused(ssl=self_signed()[0])
        self.assertIn("certificate is not valid", error)

    async def test_a_certificate_has_to_be_the_names_whatever_the_address(self):
        served, pem = self_signed("example.org")
        trusting = ssl.create_default_context(cadata=pem)
        with mock.patch.object(posting, "trusted", return_value=trusting):
            async with self.target(ssl=served) as target:
                for name, state in (("example.org", "delivered"), ("127.0.0.1", "waiting")):
                    await self.lead_to(f"https://{name}:{target.port}/")
                    await self.end_a_run()
                    with resolving("127.0.0.1"):
                        self.assertEqual((await self.deliver()).state, state)
        self.assertEqual(len(target.requests), 1)

    async def test_one_target_that_hangs_holds_up_no_other(self):
        bob = await sync_to_async(make_user)("bob")
        async with self.target(hang) as slow:
            for _ in range(3):
                await self.end_a_run()
            self.alice, alice = bob, self.alice
            async with self.target() as quick:
                await self.end_a_run()
                deliverer = Deliverer()
                await deliverer.look()
                deadline = time.monotonic() + SECONDS
                while not (quick.requests and slow.requests):
                    await asyncio.sleep(0.01)
                    self.assertLess(time.monotonic(), deadline)
                await deliverer.look()
                await deliverer.stop()
            self.assertEqual((len(slow.requests), len(quick.requests)), (1, 1))
            self.assertTrue(alice.pk)


class PrivateTests(WebhookCase):
    @override_settings(WEBHOOK_PRIVATE=False)
    async def test_names_that_lead_into_a_private_network(self):
        async with self.target() as target:
            for found in (["127.0.0.1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "10.0.0.1"]):
                await self.lead_to(f"http://example.org:{target.port}/")
                await self.end_a_run()
                with resolving(*found):
                    delivery = await self.deliver()
                self.assertIn("leads into a private network", delivery.error)
                self.assertEqual(delivery.state, "waiting")
            for literal in ("2130706433", "0x7f.1", "127.1", "localhost"):
                await self.lead_to(f"http://{literal}:{target.port}/")
                await self.end_a_run()
                self.assertIn("private network", (await self.deliver()).error)
        self.assertEqual(target.requests, [])

    async def test_a_name_is_looked_up_once_and_that_address_connected_to(self):
        async with self.target() as target:
            await self.lead_to(f"http://example.org:{target.port}/")
            await self.end_a_run()
            with resolving("127.0.0.1") as asked:
                self.assertEqual((await self.deliver()).state, "delivered")
        # Connecting asks again, for the address that was found and checked.
        names = [call.args[0] for call in asked.call_args_list]
        self.assertEqual(names.count("example.org"), 1)
        self.assertEqual(target.requests[0][0]["Host"], f"example.org:{target.port}")

    async def test_a_name_that_is_not_there(self):
        await self.lead_to("http://nothing.invalid/")
        await self.end_a_run()
        with mock.patch.object(posting.socket, "getaddrinfo", side_effect=OSError):
            self.assertIn("cannot be found", (await self.deliver()).error)


class DurableTests(WebhookCase):
    @sync_to_async
    def due(self, count=10) -> list[Delivery]:
        return Delivery.objects.due(count)

    async def test_it_is_there_if_and_only_if_the_end_is(self):
        async with self.target():

            @sync_to_async
            def end_and_fail():
                run = make_held_run(self.alice)
                with self.assertRaises(ZeroDivisionError), transaction.atomic():
                    Run.objects.finish(run, Status.SUCCEEDED)
                    1 / 0  # noqa: B018
                return Run.objects.get(pk=run.pk)

            self.assertEqual((await end_and_fail()).status, "running")
            self.assertFalse(await Delivery.objects.aexists())

    async def test_whoever_takes_one_has_it_for_a_while(self):
        async with self.target() as target:
            await self.end_a_run()
            (taken,) = await self.due()
            self.assertEqual(await self.due(), [])
            self.assertLess(abs(await self.wait_seconds() - webhook.LEASE_SECONDS), 5)
            # It was killed: another one sends it, and what it still says counts no more.
            await self.come_due()
            self.assertEqual((await self.deliver()).state, "delivered")
            failed = sync_to_async(Delivery.objects.failed)
            self.assertFalse(await failed(taken, "Too late.", None))
            self.assertEqual((await Delivery.objects.aget()).state, "delivered")
        self.assertEqual(len(target.requests), 1)

    async def test_who_was_replaced_says_nothing_more(self):
        async with self.target(b"HTTP/1.1 500 Oh\r\n\r\n"):
            await self.end_a_run()
            (taken,) = await self.due()
            await self.come_due()
            self.assertEqual((await self.deliver()).attempts, 2)
            for late in (Delivery.objects.delivered, Delivery.objects.failed):
                given = (taken, 200) if late == Delivery.objects.delivered else (taken, "x", None)
                self.assertFalse(await sync_to_async(late)(*given))
            self.assertEqual((await Delivery.objects.aget()).state, "waiting")

    @skipUnless(connection.vendor == "sqlite", "reads SQLite's plan")
    def test_what_is_due_is_found_by_an_index(self):
        with CaptureQueriesContext(connection) as asked:
            Delivery.objects.any_due()
            Delivery.objects.due(3)
        for query in asked.captured_queries:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plan = " ".join(row[-1] for row in cursor.fetchall())
            self.assertIn("delivery_due", plan)

    async def test_a_run_ends_though_its_owner_deletes_the_webhook(self):
        async with self.target():
            await self.end_a_run()
            await sync_to_async(Webhook.objects.filter(user=self.alice)._raw_delete)("default")
        self.assertEqual(await self.due(), [])
        await sync_to_async(Delivery.objects.prune)()
        self.assertFalse(await Delivery.objects.aexists())

    async def test_old_ones_are_forgotten(self):
        async with self.target():
            for _ in range(2):
                await self.end_a_run()
            await self.deliver()
            old = Now() - timedelta(days=webhook.KEPT_DAYS + 1)
            await Delivery.objects.aupdate(created_at=old)
            await sync_to_async(Delivery.objects.prune)()
        states = [delivery.state async for delivery in Delivery.objects.all()]
        self.assertEqual(states, ["waiting"])


@override_settings(WEBHOOK_PRIVATE=True, WEBHOOK_HTTP=True)
class CarriedTests(CarryingTestCase):
    async def test_an_executor_sends_what_its_runs_are_due(self):
        server = TargetServer(GOOD)
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        save = sync_to_async(Webhook.objects.save_target)
        await save(self.alice, f"http://127.0.0.1:{port}/", ALL)
        async with listening, self.executing():
            run = await self.carry("exit 3")
            deadline = time.monotonic() + SECONDS
            while not await Delivery.objects.filter(state="delivered").aexists():
                await asyncio.sleep(0.02)
                self.assertLess(time.monotonic(), deadline)
        told = json.loads(server.requests[0][1])["data"]["run"]
        self.assertEqual((told["id"], told["exit_code"]), (run.public_id, 3))


class ReceiverTests(WebhookCase):
    async def test_the_receiver_that_readme_prints(self):
        code = re.search(r"```python\n([^`]*webhook-signature[^`]*)```", README.read_text())[1]
        secret = await self.lead_to("http://127.0.0.1:9/")
        receiver = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, secret, "0",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(SECONDS):
                port = (await receiver.stdout.readline()).split()[-1].decode()
                await self.lead_to(f"http://127.0.0.1:{port}/")
                run = await self.end_a_run()
                self.assertEqual((await self.deliver()).state, "delivered")
                told = (await receiver.stdout.readline()).decode()
                self.assertEqual(told, f"{run.public_id} succeeded\n")
                await sync_to_async(Webhook.objects.renew_secret)(await Webhook.objects.aget())
                await self.end_a_run()
                self.assertEqual((await self.deliver()).status_code, 401)
        finally:
            receiver.kill()
            await receiver.communicate()


def resolving(*addresses):
    """Let example.org lead to these; others stay what they are."""
    real = posting.socket.getaddrinfo

    def answer(host, port, *more, **named):
        if host != "example.org":
            return real(host, port, *more, **named)
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    return mock.patch.object(posting.socket, "getaddrinfo", side_effect=answer)


def self_signed(host: str = "elsewhere.example") -> tuple[ssl.SSLContext, str]:
    """A server's context with a certificate of its own making, and that."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        pem = serialization.Encoding.PEM
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
        file.flush()
        context.load_cert_chain(file.name)
    return context, certificate.public_bytes(pem).decode()
