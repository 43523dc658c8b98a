"""A small application on the real server: `python -m tests.server_app [PORT]`."""

import asyncio
import json
import os
import sys
import time

from streamsite.server import CannotListen, Server, serve

MESSAGE = bytes(range(256)) * 1024  # 256 KiB
MESSAGES = 800  # 200 MiB
FAREWELL = MESSAGE[:250_000]
state = {"sent": 0, "ended": {}, "started": False}
send_began = None


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def make_report():
    waited = time.monotonic() - send_began if send_began else 0
    return state | {"resident": resident_bytes(), "send_waited": waited}


async def send_counted(send, message, size):
    global send_began
    send_began = time.monotonic()
    try:
        await send(message)
    finally:
        send_began = None
    state["sent"] += size


async def application(scope, receive, send):
    path = scope["path"]
    serve_one = serve_websocket if scope["type"] == "websocket" else serve_http
    outcome = "returned"
    try:
        await serve_one(path, receive, send)
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        state["ended"][path] = outcome


async def serve_websocket(path, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    if path == "/flood":
        for _ in range(MESSAGES):
            await send_counted(send, {"type": "websocket.send", "bytes": MESSAGE}, len(MESSAGE))
    elif path == "/farewell":
        # Little enough that the close follows at once.
        await send({"type": "websocket.send", "bytes": FAREWELL})
        await send({"type": "websocket.close"})
    elif path == "/big":
        await send({"type": "websocket.send", "text": "é" * (3 * 512 * 1024)})
    elif path == "/raise":
        raise LookupError("on purpose")
    elif path == "/deaf":
        await asyncio.Event().wait()
    elif path == "/close":
        await send({"type": "websocket.close", "code": 1011})
    elif path == "/return":
        return
    elif path == "/size":
        message = await receive()
        await send({"type": "websocket.send", "text": str(len(message.get("text", "")))})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def serve_http(path, receive, send):
    message = await receive()
    size = len(message["body"])
    while message.get("more_body"):
        message = await receive()
        size += len(message["body"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/flood":
        for _ in range(MESSAGES):
            body = {"type": "http.response.body", "body": MESSAGE, "more_body": True}
            await send_counted(send, body, len(MESSAGE))
    elif path == "/raise":
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("on purpose")
    elif path == "/forever":
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.Event().wait()
    body = json.dumps(make_report() | {"body": size}).encode()
    await send({"type": "http.response.body", "body": body if path == "/state" else b""})


async def on_start():
    if os.environ.get("TEST_START_FAILS"):
        raise LookupError("There is no sandbox; install one.")
    state["started"] = True


async def on_stop():
    print("on_stop ran", flush=True)
    await asyncio.sleep(float(os.environ.get("TEST_STOP_SECONDS", "0")))
    print("on_stop ended", flush=True)


def main():
    def ready(host, port):
        print("ready", host, port, flush=True)

    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    hooks = {"on_start": on_start, "on_stop": on_stop, "ready": ready}
    options = json.loads(os.environ.get("TEST_OPTIONS", "{}"))
    try:
        if options:
            Server(application, ["tcp:0:interface=127.0.0.1"], **hooks, **options).run()
        else:
            serve("127.0.0.1", port, application=application, **hooks)
    except (CannotListen, LookupError) as error:
        sys.exit(str(error))
    print("served", flush=True)


if __name__ == "__main__":
    main()
