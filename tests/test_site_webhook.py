"""A webhook of a real site that is killed between a run's end and its delivery."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from django.test import SimpleTestCase

from .site import Site

SAVE = (
    "from django.contrib.auth.models import User; from runs.models import Webhook; "
    "Webhook.objects.save_target(User.objects.get(), 'http://127.0.0.1:{}/', ['failed'])"
)
SECONDS = 40.0


class Receiver(HTTPServer):
    """Takes webhooks while it is `up`, else breaks connections off."""

    def __init__(self):
        self.up, self.asked, self.told = False, 0, []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.up:
            self.server.told.append((self.headers["webhook-id"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

    def log_message(self, *given):
        pass


class KilledTests(SimpleTestCase):
    def until(self, condition):
        deadline = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_what_a_killed_server_owed_the_next_one_sends(self):
        receiver = Receiver()
        self.addCleanup(receiver.server_close)
        self.addCleanup(receiver.shutdown)
        with Site(STREAMSITE_WEBHOOK_PRIVATE="1", STREAMSITE_WEBHOOK_HTTP="1") as site:
            site.manage("shell", "-v", "0", "-c", SAVE.format(receiver.server_port))
            at_once = site.launch("exit 4")
            site.ended(at_once["id"])
            self.until(lambda: receiver.asked)
            owed = site.launch("exit 5")
            site.ended(owed["id"])
            site.kill()
            receiver.up = True
            site.start()
            self.until(lambda: len(receiver.told) == 2)
        told = [message["data"]["run"] for _, message in receiver.told]
        self.assertEqual(
            {(run["id"], run["exit_code"]) for run in told}, {(at_once["id"], 4), (owed["id"], 5)}
        )
