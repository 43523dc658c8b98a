"""The peer: live output as the Channels tutorial would do it, under stock Daphne.

Each viewer is a consumer in a group of the in-memory layer. A program's output is
read line by line, each line saved by the ORM and then sent to the group. The
program runs without a sandbox and the database has the settings that are quick
(WAL, synchronous NORMAL, a lasting connection): what is measured is the pattern. Run as
`python -m tests.benchmarks.textbook`; the first message of a viewer is a program.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["channels"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(os.environ["STREAMSITE_DATA_DIR"]) / "textbook.sqlite3",
            # Otherwise Channels has a new connection opened for every message.
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    },
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    ALLOWED_HOSTS=["127.0.0.1"],
    USE_TZ=True,
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from daphne.endpoints import build_endpoint_description_strings  # noqa: E402
from daphne.server import Server  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = "run"


class Message(models.Model):
    run = models.IntegerField(db_index=True)
    seq = models.IntegerField()
    text = models.TextField()

    class Meta:
        app_label = "textbook"

    def __str__(self):
        return self.text


class Viewer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.send(text_data=json.dumps({"type": "hello"}))

    async def disconnect(self, code):
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        self.running = asyncio.create_task(self.run(json.loads(text_data)["program"]))

    async def run(self, program):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", "-c", program),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        seq = 0
        async for line in process.stdout:
            seq += 1
            text = line.decode()
            await Message.objects.acreate(run=1, seq=seq, text=text)
            chunk = {"seq": seq, "text": text}
            await self.tell({"type": "chunks", "chunks": [chunk], "last_seq": seq})
        await process.wait()
        # Let the viewers catch up: the layer drops what is beyond its capacity.
        await asyncio.sleep(1)
        await self.tell({"type": "end", "last_seq": seq})

    async def tell(self, message):
        event = {"type": "output", "text": json.dumps(message)}
        await self.channel_layer.group_send(GROUP, event)

    async def output(self, event):
        await self.send(text_data=event["text"])


def main():
    with connection.schema_editor() as editor:
        editor.create_model(Message)
    connection.close()
    application = ProtocolTypeRouter({"websocket": URLRouter([path("ws/", Viewer.as_asgi())])})
    endpoints = build_endpoint_description_strings(host="127.0.0.1", port=0)
    server = Server(application, endpoints, ready_callable=None, verbosity=0)
    from twisted.internet import reactor

    def tell_port():
        if server.listening_addresses:
            print(f"at http://127.0.0.1:{server.listening_addresses[0][1]}/", flush=True)
        else:
            reactor.callLater(0.05, tell_port)

    reactor.callWhenRunning(tell_port)
    server.run()


if __name__ == "__main__":
    main()
