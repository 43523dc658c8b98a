"""The control plane: create, connect, info, kill, timeout, list."""

from urllib.parse import parse_qsl, unquote

from .exchange import Exchange
from .sandboxes import FakeSandbox


class ControlPlane:
    def __init__(self, double):
        self._double = double

    def call(self, exchange: Exchange) -> tuple[str, str] | None:
        """(name of the call, sandbox id) of a request, None if it is not ours."""
        method, parts = exchange.method, exchange.path.strip("/").split("/")
        match (method, *parts):
            case ("POST", "v2", "sandboxes"):
                return "create", ""
            case ("GET", "v2", "sandboxes"):
                return "list", ""
            case ("POST", "v2", "sandboxes", sandbox_id, "connect"):
                return "connect", sandbox_id
            case ("GET", "sandboxes", sandbox_id):
                return "info", sandbox_id
            case ("DELETE", "sandboxes", sandbox_id):
                return "kill", sandbox_id
            case ("POST", "sandboxes", sandbox_id, "timeout"):
                return "timeout", sandbox_id
        return None

    async def handle(self, call: str, sandbox_id: str, exchange: Exchange) -> None:
        if exchange.headers.get("x-api-key") != self._double.api_key:
            await refuse(exchange, 401, "Invalid API key")
            return
        if call in ("create", "list"):
            await getattr(self, call)(exchange)
            return
        sandbox = self._double.living(sandbox_id)
        if sandbox is None:
            await refuse(exchange, 404, f'sandbox "{sandbox_id}" not found')
        else:
            await getattr(self, call)(exchange, sandbox)

    async def create(self, exchange: Exchange) -> None:
        key = exchange.headers.get("idempotency-key")
        sandbox = self._double.by_key.get(key) if key else None
        if sandbox is None:
            sandbox = FakeSandbox(exchange.json(), self._double.settings["profile"])
            self._double.sandboxes[sandbox.id] = sandbox
            if key:
                self._double.by_key[key] = sandbox
        await exchange.answer(201, sandbox.created())

    async def connect(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        if timeout := exchange.json().get("timeout"):
            sandbox.live_for(timeout)
        await exchange.answer(200, sandbox.created())

    async def info(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        await exchange.answer(200, sandbox.info())

    async def kill(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        await sandbox.close()
        await exchange.answer(204)

    async def timeout(self, exchange: Exchange, sandbox: FakeSandbox) -> None:
        sandbox.live_for(exchange.json()["timeout"])
        await exchange.answer(204)

    async def list(self, exchange: Exchange) -> None:
        # The SDK quotes names and values, then the pairs, then the whole.
        wanted = parse_qsl(exchange.query.get("metadata", ""))
        wanted = {unquote(name): unquote(value) for name, value in wanted}
        found = [
            sandbox.info()
            for sandbox in self._double.sandboxes.values()
            if not sandbox.ended.done() and wanted.items() <= sandbox.metadata.items()
        ]
        limit = self._double.settings["page"]
        start = int(exchange.query.get("nextToken") or 0)
        headers = {"x-next-token": str(start + limit)} if start + limit < len(found) else {}
        await exchange.answer(200, found[start : start + limit], headers)


async def refuse(exchange: Exchange, status: int, message: str) -> None:
    await exchange.answer(status, {"code": status, "message": message})
