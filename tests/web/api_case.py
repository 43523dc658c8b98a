"""What the tests of the API share: people, and calls made as one of them."""

import orjson
from django.test import Client, TestCase

from runs.models import ApiToken
from tests.people import make_people


class ApiCase(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.people = make_people()
        for name in ("alice", "bob", "auditor", "root"):
            setattr(cls, name, getattr(cls.people, name))

    def client_of(self, user) -> Client:
        """A client with the user's session, the same one for the rest of the test."""
        clients = self.__dict__.setdefault("_clients", {})
        if user not in clients:
            clients[user] = Client()
            if user:
                clients[user].force_login(user)
        return clients[user]

    def call(self, user, method: str, path: str, json=None, **more):
        """One call with a session (`user` may be None); `json` is sent as the body."""
        if json is not None:
            more = {"data": orjson.dumps(json), "content_type": "application/json"} | more
        return self.client_of(user).generic(method, path, **more)

    def get(self, user, path: str, **query):
        return self.client_of(user).get(path, query)

    def post(self, user, path: str, json=None, **more):
        return self.call(user, "POST", path, json, **more)

    def token_headers(self, user) -> dict:
        _, secret = ApiToken.objects.make(user, "test")
        return {"Authorization": f"Bearer {secret}"}

    def assert_error(self, response, status: int, code: str, *fields: str) -> str:
        """The response is an error of ours and nothing else; returns its message."""
        self.assertEqual(response.status_code, status, response.content[:500])
        self.assertEqual(response["Content-Type"], "application/json")
        body = orjson.loads(response.content)
        self.assertEqual(list(body), ["error"])
        error = body["error"]
        self.assertEqual(error["code"], code)
        self.assertRegex(error["message"], r"^\S.*[.!)}]$")
        self.assertEqual(sorted(error.get("fields", {})), sorted(fields))
        return error["message"]
