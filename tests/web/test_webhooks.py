"""The page of a user's webhook."""

from django.test import override_settings
from django.urls import reverse

from runs.access import AccessEvent
from runs.fields import unseal
from runs.models import Delivery, Webhook
from tests.factories import make_run

from .api_case import ApiCase

PAGE = "/account/webhook/"
GOOD = {"url": "https://example.org/hook/s3cret", "status": ["failed", "lost"]}


class WebhookPageTests(ApiCase):
    def save(self, user=None, **fields):
        return self.client_of(user or self.alice).post(PAGE, GOOD | fields)

    def test_its_secret_is_shown_once(self):
        made = self.save()
        hook = Webhook.objects.get()
        secret = unseal(hook.sealed)
        self.assertRegex(secret, r"^whsec_[A-Za-z0-9+/]{43}=$")
        self.assertContains(made, secret)
        self.assertIn("no-store", made["Cache-Control"])
        self.assertEqual((hook.url, hook.statuses), (GOOD["url"], GOOD["status"]))
        self.assertNotContains(self.get(self.alice, PAGE), secret)
        changed = self.save(url="https://example.org/other", status=["succeeded"])
        self.assertEqual(changed.status_code, 302)
        hook.refresh_from_db()
        self.assertEqual((hook.url, hook.statuses), ("https://example.org/other", ["succeeded"]))
        self.assertEqual(unseal(hook.sealed), secret)
        renewed = self.client_of(self.alice).post(PAGE + "secret/")
        hook.refresh_from_db()
        self.assertNotEqual(unseal(hook.sealed), secret)
        self.assertContains(renewed, unseal(hook.sealed))

    def test_what_is_noted_does_not_hold_the_path(self):
        AccessEvent.objects.all().delete()
        self.save()
        for act in ("secret", "delete"):
            self.client_of(self.alice).post(f"{PAGE}{act}/")
        events = list(AccessEvent.objects.exclude(action="login").order_by("pk"))
        self.assertEqual(
            [(event.action, event.actor_name, event.subject) for event in events],
            [("webhook_saved", "alice", "example.org")] * 2
            + [("webhook_deleted", "alice", "example.org")],
        )
        self.assertEqual(events[0].detail, {"statuses": ["failed", "lost"]})
        self.assertFalse(Webhook.objects.exists())

    def test_bad_wishes_are_kept_to_be_mended(self):
        for fields, words in (
            ({"url": "http://example.org/x"}, "must begin with https://"),
            ({"url": "https://127.0.0.1/<b>"}, "private network"),
            ({"url": "https://example.org/" + "x" * 600}, "too long"),
            ({"status": []}, "Choose at least one end"),
            ({"status": ["running", "queued", "x"]}, "Choose at least one end"),
        ):
            with self.subTest(words):
                refused = self.save(**fields)
                self.assertContains(refused, words, status_code=422)
                self.assertNotContains(refused, "<b>", status_code=422)
        self.assertFalse(Webhook.objects.exists())

    @override_settings(WEBHOOK_HTTP=True, WEBHOOK_PRIVATE=True)
    def test_on_an_intranet(self):
        self.save(url="http://10.0.0.1/hook")
        self.assertEqual(Webhook.objects.get().host, "10.0.0.1")

    def test_a_test(self):
        self.save()
        for _ in range(7):
            self.client_of(self.alice).post(PAGE + "test/")
        self.assertEqual(Delivery.objects.filter(event="test").count(), 5)
        page = self.get(self.alice, PAGE)
        self.assertContains(page, "Waiting")

    def test_how_deliveries_went(self):
        self.save()
        hook = Webhook.objects.get()
        run = make_run(self.alice, title="<b>Nightly")
        delivery = Delivery.objects.create(
            webhook=hook, event="run.ended", run=run.public_id, title=run.title, attempts=1
        )
        Delivery.objects.failed(delivery, "The target answered with status 500.", 500)
        page = self.get(self.alice, PAGE)
        for words in ("&lt;b&gt;Nightly", "answered with status 500", "Next attempt", "status 500"):
            self.assertContains(page, words)
        admin = self.get(self.root, reverse("admin:runs_delivery_changelist"))
        for words in ("&lt;b&gt;Nightly", "answered with status 500", "example.org", "alice"):
            self.assertContains(admin, words)
        for name, one in (("delivery", delivery), ("webhook", hook)):
            for page in (
                reverse(f"admin:runs_{name}_changelist"),
                reverse(f"admin:runs_{name}_change", args=[one.pk]),
            ):
                shown = self.get(self.root, page)
                self.assertEqual(shown.status_code, 200)
                self.assertNotContains(shown, "s3cret")
                self.assertNotContains(shown, hook.sealed)

    def test_it_is_ones_own(self):
        self.save()
        other = self.get(self.bob, PAGE)
        self.assertNotContains(other, "example.org/hook/")
        for act in ("secret", "test", "delete"):
            self.assertEqual(self.client_of(self.bob).post(f"{PAGE}{act}/").status_code, 404)
            self.assertEqual(self.get(self.alice, f"{PAGE}{act}/").status_code, 302)
        self.assertEqual(self.get(None, PAGE).status_code, 302)
        self.assertEqual(self.client_of(None).post(PAGE, GOOD).status_code, 302)
        self.assertEqual(Webhook.objects.count(), 1)
        self.alice.delete()
        self.assertFalse(Webhook.objects.exists())
