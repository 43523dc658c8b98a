"""GET and POST /files, as far as one file at a time."""

from email import message_from_bytes
from email.policy import HTTP

from .exchange import Exchange
from .sandboxes import FakeSandbox


async def handle(exchange: Exchange, sandbox: FakeSandbox) -> None:
    path = sandbox.path(exchange.query.get("path", ""))
    if exchange.method == "GET":
        if path.is_file():
            await exchange.answer(200, path.read_bytes())
        else:
            message = f"path '{path}' does not exist"
            await exchange.answer(404, {"code": 404, "message": message})
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content_of(exchange))
    await exchange.answer(200, [{"path": str(path), "name": path.name, "type": "file"}])


def content_of(exchange: Exchange) -> bytes:
    """What was uploaded, plainly or as a form's one part."""
    kind = exchange.headers.get("content-type", "")
    if not kind.startswith("multipart/"):
        return exchange.body
    head = f"content-type: {kind}\r\n\r\n".encode()
    [part] = message_from_bytes(head + exchange.body, policy=HTTP).iter_parts()
    return part.get_payload(decode=True)
