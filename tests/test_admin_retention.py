"""The admin's part of retention: rules, holds, and what was deleted and why."""

from django.contrib.auth.models import Group, User
from django.test import TestCase

from runs.access import AccessEvent
from runs.models import Deletion, Hold, RetentionRule, Run, Status
from runs.streaming.deletion import decide, delete_run
from tests.factories import make_run
from tests.people import make_user
from tests.test_admin import make_auditor, make_root, quick, url


@quick
class AdminCase(TestCase):
    def setUp(self):
        self.alice = make_user("alice")
        self.auditor = make_auditor()
        self.root = make_root()
        self.client.force_login(self.root)

    def told(self) -> list[tuple]:
        """What was noted beside logins and looks."""
        events = AccessEvent.objects.exclude(action__in=["login", "view"]).order_by("pk")
        return [(event.action, event.actor_name, event.subject) for event in events]


class RuleTests(AdminCase):
    add = "runs_retentionrule_add"

    def test_a_superuser_makes_changes_and_deletes_rules_and_each_is_noted(self):
        legal = Group.objects.create(name="Legal")
        given = {"kind": "python", "group": legal.pk, "output_days": 30, "record_days": ""}
        self.client.post(url(self.add), given)
        rule = RetentionRule.objects.get()
        self.client.post(url("runs_retentionrule_change", rule.pk), given | {"output_days": 60})
        self.assertContains(self.client.get(url("runs_retentionrule_changelist")), "60 days")
        self.client.post(url("runs_retentionrule_delete", rule.pk), {"post": "yes"})
        name = "python runs of Legal"
        self.assertEqual(self.told(), [("rule_changed", "root", name)] * 3)
        made, changed, deleted = (e.detail for e in AccessEvent.objects.filter(subject=name))
        after = f"{name}: output 30 days, record for ever"
        self.assertEqual(made, {"before": "none", "after": after})
        self.assertEqual(changed, {"before": after, "after": after.replace("30", "60")})
        self.assertEqual(deleted["after"], "none")

    def test_what_cannot_be_is_refused_with_a_sentence(self):
        RetentionRule.objects.create(output_days=5)
        for given, sentence in (
            ({"output_days": 5}, "Change that one."),
            ({"kind": "python", "output_days": 0}, "greater than or equal to 1"),
            ({"kind": "python", "output_days": 6, "record_days": 5}, "as many days at least."),
        ):
            with self.subTest(given):
                self.assertContains(self.client.post(url(self.add), given), sentence)
        self.assertEqual(RetentionRule.objects.count(), 1)

    def test_a_group_with_a_rule_cannot_be_deleted(self):
        group = Group.objects.create(name="Legal")
        RetentionRule.objects.create(group=group, record_days=5)
        page = self.client.post(url("auth_group_delete", group.pk), {"post": "yes"})
        self.assertContains(page, "every run of Legal", status_code=200)
        self.assertTrue(Group.objects.filter(name="Legal").exists())


class HoldTests(AdminCase):
    add = "runs_hold_add"

    def setUp(self):
        super().setUp()
        self.run_ = make_run(self.alice, chunks=["x"])

    def place(self, **given):
        return self.client.post(url(self.add), {"reason": "Case 7.", **given}, follow=True)

    def test_a_hold_on_a_run_is_placed_seen_and_released(self):
        page = self.client.get(url("runs_run_change", self.run_.pk))
        self.assertContains(page, f"{url(self.add)}?run={self.run_.public_id}")
        form = self.client.get(url(self.add, query=f"?run={self.run_.public_id}"))
        self.assertContains(form, f'value="{self.run_.public_id}"')
        self.place(run_public_id=f" {self.run_.public_id} ")
        hold = Hold.objects.get()
        self.assertEqual((hold.run, hold.placed_by), (self.run_, "root"))
        change = url("runs_hold_change", hold.pk)
        self.assertContains(self.client.get(url("runs_run_change", self.run_.pk)), change)
        self.assertContains(self.client.post(change, {}), "This field is required.")
        self.client.post(change, {"release_reason": "It is over.", "reason": "forged"})
        hold.refresh_from_db()
        self.assertEqual(
            (hold.released_by, hold.release_reason, hold.reason), ("root", "It is over.", "Case 7.")
        )
        self.assertIsNotNone(hold.released_at)
        again = self.client.post(change, {"release_reason": "Once more."})
        self.assertEqual(again.status_code, 403)
        subject = f"run {self.run_.public_id}"
        self.assertEqual(
            self.told(), [("hold_placed", "root", subject), ("hold_released", "root", subject)]
        )
        events = AccessEvent.objects.filter(action__startswith="hold_").order_by("pk")
        reasons = [event.detail["reason"] for event in events]
        self.assertEqual(reasons, ["Case 7.", "It is over."])

    def test_a_hold_on_a_user_keeps_the_account_too(self):
        self.place(user=self.alice.pk)
        self.assertEqual(str(Hold.objects.get()), "all runs of alice")
        page = self.client.post(url("auth_user_delete", self.alice.pk), {"post": "yes"})
        self.assertContains(page, "all runs of alice", status_code=200)
        self.assertTrue(User.objects.filter(username="alice").exists())
        Hold.objects.get().release("root", "Over.")
        self.client.post(url("auth_user_delete", self.alice.pk), {"post": "yes"})
        self.assertFalse(User.objects.filter(username="alice").exists())
        self.assertEqual(Hold.objects.get().user_name, "alice")

    def test_what_cannot_be_held_is_refused_with_a_sentence(self):
        other = make_run(self.alice)
        delete_run(other, "alice", "Test.")
        for given, sentence in (
            ({}, "either a run or a user"),
            ({"run_public_id": self.run_.public_id, "user": self.alice.pk}, "not both"),
            ({"run_public_id": "nope"}, "There is no run of this id."),
            ({"run_public_id": other.public_id}, "by alice: Test."),
            ({"user": self.alice.pk, "reason": ""}, "This field is required."),
        ):
            with self.subTest(given):
                self.assertContains(self.place(**given), sentence)
        self.assertFalse(Hold.objects.exists())

    def test_one_that_comes_late_says_so(self):
        decide(self.run_, Deletion.OUTPUT, "retention", "Too old.")
        page = self.place(run_public_id=self.run_.public_id)
        self.assertContains(page, "What is left of it stays.")

    def test_nobody_deletes_a_hold(self):
        hold = Hold.place(run=self.run_, reason="Case 7.", by="root")
        answer = self.client.post(url("runs_hold_delete", hold.pk), {"post": "yes"})
        self.assertEqual(answer.status_code, 403)
        chosen = {"action": "delete_selected", "_selected_action": hold.pk, "post": "yes"}
        self.client.post(url("runs_hold_changelist"), chosen)
        self.assertTrue(Hold.objects.exists())


class DeletionTests(AdminCase):
    def test_what_was_deleted_and_why_is_answered_by_the_admin_alone(self):
        one = make_run(self.alice, chunks=["x"], title="Nightly import")
        two = make_run(self.alice, Status.FAILED, title="Other", kind="python")
        delete_run(one, "alice", "It held a name.")
        decide(two, Deletion.OUTPUT, "retention", "Too old.")
        self.client.force_login(self.auditor)
        page = self.client.get(url("runs_deletion_changelist", query="?q=nightly"))
        for text in ("Nightly import", "It held a name.", "alice", "the run with its output"):
            self.assertContains(page, text)
        self.assertNotContains(page, "Too old.")
        for query in ("?what=output", "?kind=python", "?by=retention", "?done_at__isempty=1"):
            page = self.client.get(url("runs_deletion_changelist", query=query))
            self.assertContains(page, "Too old.")
            self.assertNotContains(page, "It held a name.")
        known = Deletion.objects.get(what="record")
        page = self.client.get(url("runs_deletion_change", known.pk))
        self.assertContains(page, "icon-yes")
        Deletion.objects.update(reason="Another one.")
        self.assertContains(self.client.get(url("runs_deletion_change", known.pk)), "icon-no")

    def test_an_auditor_sees_all_of_it_and_changes_none_of_it(self):
        run = make_run(self.alice, chunks=["x"])
        rule = RetentionRule.objects.create(output_days=5)
        hold = Hold.place(user=self.alice, reason="Case 7.", by="root")
        delete_run(make_run(make_user("bob")), "bob", "Test.")
        known = Deletion.objects.get()
        clerk = make_user("clerk", is_staff=True)
        self.client.force_login(self.auditor)
        for model, item in (("retentionrule", rule), ("hold", hold), ("deletion", known)):
            self.assertEqual(self.client.get(url(f"runs_{model}_changelist")).status_code, 200)
            page = self.client.get(url(f"runs_{model}_change", item.pk))
            self.assertEqual(page.status_code, 200)
            self.assertNotContains(page, 'type="submit" value="Save"')
            for person in (self.auditor, clerk):
                self.client.force_login(person)
                given = {"output_days": 1, "release_reason": "x", "reason": "x", "post": "yes"}
                for path in (
                    url(f"runs_{model}_add"),
                    url(f"runs_{model}_change", item.pk),
                    url(f"runs_{model}_delete", item.pk),
                ):
                    self.assertEqual(self.client.post(path, given).status_code, 403, path)
            self.client.force_login(self.auditor)
        self.client.force_login(self.root)
        for path in ("add", "change", "delete"):
            args = () if path == "add" else (known.pk,)
            answer = self.client.post(url(f"runs_deletion_{path}", *args), {"post": "yes"})
            self.assertEqual(answer.status_code, 403)
        self.assertEqual(RetentionRule.objects.get().output_days, 5)
        self.assertIsNone(Hold.objects.get().released_at)
        self.assertTrue(Run.objects.filter(pk=run.pk).exists())
