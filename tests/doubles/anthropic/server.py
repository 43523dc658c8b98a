"""The double's HTTP server, one thread a connection."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .answers import Fail, Say, message_of, stream_of


@dataclass(frozen=True)
class Asked:
    method: str
    path: str  # without the query
    headers: dict[str, str]
    body: dict

    @property
    def is_conversation(self) -> bool:
        """A turn of the agent, and not one of the small questions beside it."""
        return self.path == "/v1/messages" and bool(self.body.get("tools"))


class MessagesApi:
    """Answers the turns of a conversation with `answers`, in order; the last one stays.

    An answer is a block, a list of blocks or a Fail. `key` is the only one accepted,
    if it is given.
    """

    def __init__(self, *answers, key: str | None = None):
        self._answers = list(answers)
        self._key = key
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def turns(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.is_conversation]

    def answer_to(self, asked: Asked):
        with self._lock:
            self.asked.append(asked)
            if self._key is not None and asked.headers.get("x-api-key") != self._key:
                return Fail(401, "authentication_error", "invalid x-api-key")
            if not asked.is_conversation:
                return Say("A title")
            answer = self._answers[0]
            if len(self._answers) > 1:
                del self._answers[0]
            return answer


def _handler(api: MessagesApi):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer(json.loads(body) if body else {})

        def do_GET(self):
            self._answer({})

        do_HEAD = do_GET

        def _answer(self, body: dict) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = self.path.partition("?")[0]
            answer = api.answer_to(Asked(self.command, path, headers, body))
            if path == "/v1/messages/count_tokens":
                self._json(200, {"input_tokens": 12})
            elif path != "/v1/messages" or self.command != "POST":
                self._json(404, Fail(404, "not_found_error", "Not found").body())
            elif isinstance(answer, Fail):
                self._json(answer.status, answer.body())
            else:
                blocks = answer if isinstance(answer, list) else [answer]
                self._message(blocks, body)

        def _message(self, blocks: list, body: dict) -> None:
            if not body.get("stream"):
                self._json(200, message_of(blocks, body["model"]))
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for name, data in stream_of(blocks, body["model"]):
                    line = json.dumps({"type": name, **data})
                    self._chunk(f"event: {name}\ndata: {line}\n\n".encode())
                self._chunk(b"")
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the agent was killed

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

        def _json(self, status: int, body: dict) -> None:
            data = b"" if self.command == "HEAD" else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.send_header("request-id", "req_double")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    return Handler
