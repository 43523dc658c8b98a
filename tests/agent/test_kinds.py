from unittest import mock

from django.test import SimpleTestCase, override_settings

from runs.kinds import InvalidSpec, NotConfigured, check_configured, launch_of, parse_spec
from runs.sandboxes.script import ARGUMENT_BYTES, check_environment

OURS = {"ANTHROPIC_API_KEY": "our key", "ANTHROPIC_BASE_URL": "http://ours"}


def launch(prompt="Do it.", env=None):
    return launch_of(
        run_id="r", owner="alice", kind="agent", mode="", language="", program=prompt,
        env={}, secret_env=env or {}, cwd="", stdin=False,
    )  # fmt: skip


@override_settings(**OURS)
class LaunchTests(SimpleTestCase):
    def test_the_prompt_is_a_value_and_never_source(self):
        (process,) = launch("'''; import os").processes
        self.assertEqual((process.task, process.language), (0, "agent"))
        self.assertEqual(process.program, launch("else").processes[0].program)
        compile(process.program, "main.py", "exec")
        self.assertEqual(launch("'''; import os").env["STREAMSITE_PROMPT_1"], "'''; import os")

    def test_the_longest_prompt_fits_into_an_environment(self):
        for prompt in ("x" * 256 * 1024, "𝄞" * 64 * 1024):
            env = launch(prompt).env
            check_environment(env)
            parts = [value for name, value in env.items() if name.startswith("STREAMSITE_PROMPT")]
            self.assertEqual("".join(parts), prompt)
            self.assertLess(max(len(part.encode()) for part in parts), ARGUMENT_BYTES - 100)

    def test_access_is_the_servers(self):
        env = launch(env={"MINE": "1"}).env
        self.assertEqual(env, {**OURS, "MINE": "1", "STREAMSITE_PROMPT_1": "Do it."})
        with override_settings(ANTHROPIC_BASE_URL=""):
            self.assertNotIn("ANTHROPIC_BASE_URL", launch().env)

    def test_or_wholly_the_users(self):
        for env in (
            {"ANTHROPIC_API_KEY": "theirs"},
            {"ANTHROPIC_AUTH_TOKEN": "theirs"},
            {"ANTHROPIC_BASE_URL": "http://evil.example"},
        ):
            self.assertEqual(launch(env=env).env, env | {"STREAMSITE_PROMPT_1": "Do it."})

    def test_nothing_replaces_the_prompt(self):
        env = launch(env={"STREAMSITE_PROMPT_1": "Another."}).env
        self.assertEqual(env["STREAMSITE_PROMPT_1"], "Do it.")
        spec = {"kind": "agent", "program": "hi", "env": {"STREAMSITE_PROMPT_2": "More."}}
        with self.assertRaisesMessage(InvalidSpec, "Choose a name without STREAMSITE_"):
            parse_spec(spec)

    def test_nothing_runs_before_its_program_beside_our_key(self):
        for name in (
            "PYTHONSTARTUP", "LD_PRELOAD", "BASH_ENV", "ENV", "BROWSER", "NODE_OPTIONS",
            "GCONV_PATH", "SHELLOPTS", "BASH_FUNC_ls",
        ):  # fmt: skip
            with self.subTest(name):
                spec = {"kind": "agent", "program": "hi", "env": {name: "a long value"}}
                with self.assertRaisesMessage(InvalidSpec, "bring your own ANTHROPIC_API_KEY"):
                    parse_spec(spec)
                parse_spec(
                    {**spec, "env": {name: "a long value", "ANTHROPIC_API_KEY": "their key"}}
                )
                parse_spec({**spec, "kind": "command"})
        parse_spec({"kind": "agent", "program": "hi", "env": {"ENVIRONMENT": "for tests"}})

    def test_no_other_kind_has_the_key(self):
        for kind, program in (("command", "env"), ("python", "1"), ("parallel", ["env"])):
            made = launch_of(
                run_id="r", owner="alice", kind=kind, mode="", language="", program=program,
                env={"A": "1"}, secret_env={}, cwd="", stdin=False,
            )  # fmt: skip
            self.assertEqual(made.env, {"A": "1"})

    def test_the_key_is_not_shown_by_accident(self):
        self.assertNotIn("our key", repr(launch()))


CONFIGURED = {"ANTHROPIC_API_KEY": "key", "SANDBOX": "local", "LOCAL_NETWORK": True}


class LanguageTests(SimpleTestCase):
    LANGUAGES = ("javascript", "typescript", "r", "java", "bash")

    def spec(self, language, mode="notebook"):
        values = {"kind": "python", "mode": mode, "program": "1", "language": language}
        return parse_spec(values)

    @override_settings(SANDBOX="e2b")
    def test_in_e2b_a_cell_has_its_language(self):
        for language in ("python", *self.LANGUAGES):
            self.assertEqual(self.spec(language).language, language)
        self.assertEqual(self.spec("").language, "python")
        sentence = "Here it can only be python, javascript, typescript, r, java, bash."
        with self.assertRaisesMessage(InvalidSpec, sentence):
            self.spec("cobol")
        with self.assertRaisesMessage(InvalidSpec, "Here it can only be python."):
            self.spec("r", mode="script")

    @override_settings(SANDBOX="local")
    def test_locally_there_is_python_only(self):
        for language in self.LANGUAGES:
            with self.assertRaisesMessage(InvalidSpec, "Here it can only be python."):
                self.spec(language)

    def test_a_cell_gets_it(self):
        made = launch_of(
            run_id="r", owner="alice", kind="python", mode="notebook", language="r", program="1",
            env={}, secret_env={}, cwd="", stdin=False,
        )  # fmt: skip
        self.assertEqual(made.cell.language, "r")


class ConfiguredTests(SimpleTestCase):
    def missing(self, installed=True, env=None, **settings) -> str:
        spec = parse_spec({"kind": "agent", "program": "hi", "env": env})
        found = mock.patch("runs.kinds.find_spec", return_value=installed or None)
        with override_settings(**CONFIGURED | settings), found:
            try:
                check_configured(spec)
            except NotConfigured as error:
                return str(error)
        return ""

    def test_configured(self):
        self.assertEqual(self.missing(), "")
        self.assertEqual(self.missing(LOCAL_NETWORK=False, LOCAL_CONFINE=False), "")
        self.assertEqual(
            self.missing(ANTHROPIC_API_KEY="", env={"ANTHROPIC_API_KEY": "their key"}), ""
        )
        self.assertEqual(self.missing(False, SANDBOX="e2b", E2B_AGENT_TEMPLATE="agents"), "")

    def test_what_is_missing_is_named(self):
        self.assertIn(
            "To have them, set ANTHROPIC_API_KEY, then", self.missing(ANTHROPIC_API_KEY="")
        )
        self.assertIn("set STREAMSITE_LOCAL_NETWORK=1,", self.missing(LOCAL_NETWORK=False))
        self.assertIn("install claude-agent-sdk", self.missing(False))
        self.assertIn("STREAMSITE_E2B_AGENT_TEMPLATE", self.missing(SANDBOX="e2b"))
        self.assertIn(
            "set ANTHROPIC_API_KEY, install claude-agent-sdk (the extra `agent`) and "
            "set STREAMSITE_LOCAL_NETWORK=1, then restart it.",
            self.missing(False, ANTHROPIC_API_KEY="", LOCAL_NETWORK=False),
        )
