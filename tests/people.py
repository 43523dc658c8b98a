"""The people of every test: who owns a run, who may not see it, who only looks."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User

MIGRATIONS = Path(__file__).resolve().parent.parent / "runs" / "migrations"


@dataclass(frozen=True)
class People:
    alice: User  # owns the run
    bob: User  # may not see it
    auditor: User  # may see it, not change it
    root: User  # a superuser


def make_user(name: str, **more) -> User:
    # Without a password: tests log in by force, and hashing one takes its time.
    user = User(username=name, **more)
    user.set_unusable_password()
    user.save()
    return user


def make_people() -> People:
    auditor = make_user("auditor", is_staff=True)
    auditor.user_permissions.add(Permission.objects.get(codename="view_run"))
    return People(
        alice=make_user("alice"),
        bob=make_user("bob"),
        auditor=auditor,
        root=make_user("root", is_staff=True, is_superuser=True),
    )


def auditors_group() -> Group:
    """As migrated: tests that truncate tables take it with them."""
    for path in sorted(MIGRATIONS.glob("0*.py")):
        migration = import_module(f"runs.migrations.{path.stem}")
        for name in ("make_group", "let_auditors_view"):
            if step := getattr(migration, name, None):
                step(apps, None)
    return Group.objects.get(name="Auditors")
