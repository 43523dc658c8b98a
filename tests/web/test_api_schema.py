import re

from django.test import Client

from runs.streaming.exports import FORMATS
from runs.web import api_schema
from runs.web.api_urls import calls
from tests.factories import make_run

from .api_case import ApiCase

NAMED_BY_CONTRACT = {
    "/api/runs": {"get", "post"},
    "/api/runs/{run_id}": {"get", "delete"},
    "/api/runs/{run_id}/chunks": {"get"},
    "/api/runs/{run_id}/outline": {"get"},
    "/api/runs/{run_id}/marks": {"get"},
    "/api/runs/{run_id}/search": {"get"},
    "/api/runs/{run_id}/access": {"get"},
    "/api/runs/{run_id}/shares": {"get", "post"},
    "/api/runs/{run_id}/shares/{share_id}": {"delete"},
    "/api/runs/{run_id}/compare/{other_id}": {"get"},
    "/api/search": {"get"},
    "/api/limits": {"get"},
    "/api/runs/{run_id}/cancel": {"post"},
    "/api/runs/{run_id}/rerun": {"post"},
    "/api/runs/{run_id}/events": {"get"},
    "/api/stream/command": {"get"},
    "/api/stream/python": {"get"},
    "/api/stream/structured": {"get"},
    "/api/stream/agent": {"post"},
    "/api/stream/agent/init": {"post"},
    "/api/stream/agent/{session_id}": {"get"},
    "/health": {"get"},
    **{f"/api/runs/{{run_id}}/export.{name}": {"get"} for name in FORMATS},
}


class DocumentTests(ApiCase):
    def setUp(self):
        self.document = self.get(self.alice, "/api/openapi.json").json()

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield path, method, operation

    def test_it_names_every_call_of_the_contract(self):
        paths = {path: set(methods) for path, methods in self.document["paths"].items()}
        self.assertEqual(paths, NAMED_BY_CONTRACT)

    def test_it_names_every_view_of_the_api(self):
        brackets = str.maketrans("<>", "{}")
        routes = {"/api/" + str(call.pattern).translate(brackets) for call in calls}
        unnamed = routes - set(self.document["paths"])
        self.assertEqual(unnamed, {"/api/", "/api/docs", "/api/openapi.json"})

    def test_it_is_well_formed(self):
        self.assertEqual(self.document["openapi"], "3.1.0")
        names = [operation["operationId"] for _, _, operation in self.operations()]
        self.assertEqual(len(set(names)), len(names), names)
        for path, method, operation in self.operations():
            with self.subTest(path, method=method):
                declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
                self.assertEqual(declared, set(re.findall(r"{(\w+)}", path)))
                self.assertTrue(
                    all(p["required"] for p in operation["parameters"] if p["in"] == "path")
                )
                self.assertTrue(all("schema" in p for p in operation["parameters"]))
                self.assertTrue(operation["responses"])
                for status, response in operation["responses"].items():
                    self.assertRegex(status, r"^([1-5]\d\d|4XX)$")
                    self.assertIn("description", response)

    def test_every_reference_leads_somewhere(self):
        def references(node):
            if isinstance(node, dict):
                if "$ref" in node:
                    yield node["$ref"]
                for value in node.values():
                    yield from references(value)
            elif isinstance(node, list):
                for value in node:
                    yield from references(value)

        found = set(references(self.document))
        self.assertIn("#/components/schemas/Error", found)
        for reference in found:
            node = self.document
            for part in reference.removeprefix("#/").split("/"):
                self.assertIn(part, node, reference)
                node = node[part]

    def test_what_is_described_is_what_is_answered(self):
        chunks = ["x", {"text": "a remark\n", "stream": "system"}]
        run = make_run(self.alice, chunks=chunks, kind="parallel", program=["a", "b"])
        path = f"/api/runs/{run.public_id}"
        for schema, answer in (
            (api_schema.Run, self.get(self.alice, path)),
            (api_schema.RunPage, self.get(self.alice, "/api/runs")),
            (api_schema.ChunkPage, self.get(self.alice, f"{path}/chunks")),
            (api_schema.Outline, self.get(self.alice, f"{path}/outline", buckets=3)),
            (api_schema.MarkPage, self.get(self.alice, f"{path}/marks")),
            (api_schema.HitPage, self.get(self.alice, f"{path}/search", q="x")),
            (api_schema.FoundPage, self.get(self.alice, "/api/search", q="x")),
            (api_schema.Error, self.get(self.alice, "/api/runs/nope")),
        ):
            with self.subTest(schema.__name__):
                body = answer.json()
                described = schema.model_validate(body).model_dump(exclude_unset=True)
                self.assertEqual(described, body)

    def test_parameters_are_described_with_their_limits(self):
        parameters = {
            p["name"]: p["schema"]
            for p in self.document["paths"]["/api/runs/{run_id}/chunks"]["get"]["parameters"]
        }
        self.assertEqual(
            set(parameters),
            {"run_id", "after", "before", "at", "line", "limit", "stream", "task", "q"},
        )
        self.assertEqual(parameters["limit"]["maximum"], 5_000)

    def test_only_people_we_know_read_it(self):
        for path in ("/api/openapi.json", "/api/docs"):
            self.assert_error(self.get(None, path), 401, "unauthorized")
            by_token = Client().get(path, headers=self.token_headers(self.bob))
            self.assertEqual(by_token.status_code, 200)

    def test_its_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(self):
        page = self.get(self.alice, "/api/docs").content.decode()
        self.assertNotRegex(page, r"""(src|href)=["'](https?:)?//""")
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S)
        inline = [tag for tag, text in scripts if text.strip() and "application/json" not in tag]
        self.assertEqual(inline, [])
        self.assertNotRegex(page, r"<style|\son\w+=")
