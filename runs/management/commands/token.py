from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ...models import ApiToken


class Command(BaseCommand):
    help = "Make, list and revoke the API tokens that let scripts act as a user."
    requires_system_checks = []

    def add_arguments(self, parser):
        actions = parser.add_subparsers(dest="action", required=True)
        make = actions.add_parser("make", help="Make a token; its secret is printed once.")
        make.add_argument("user")
        make.add_argument("name", help="What the token is for.")
        listing = actions.add_parser("list", help="List tokens, revoked ones too.")
        listing.add_argument("user", nargs="?")
        revoke = actions.add_parser("revoke", help="Revoke a token for good.")
        revoke.add_argument("id", type=int, help="Its number in `token list`.")

    def handle(self, *args, action, **options):
        getattr(self, action)(**options)

    def make(self, user, name, **options):
        name = name.strip()
        limit = ApiToken._meta.get_field("name").max_length
        if not name or len(name) > limit or not name.isprintable():
            raise CommandError(f"Give the token a name of 1 to {limit} printable characters.")
        token, secret = ApiToken.objects.make(_user(user), name)
        self.stderr.write(f"Token {token.pk} for {user}. Keep the secret: it is not shown again.")
        self.stdout.write(secret)

    def list(self, user, **options):
        tokens = ApiToken.objects.select_related("user").order_by("pk")
        for token in tokens.filter(user=_user(user)) if user else tokens:
            used = f"used {token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "unused"
            state = f"revoked {token.revoked_at:%Y-%m-%d %H:%M}" if token.revoked_at else used
            self.stdout.write(
                f"{token.pk}  {token.user.get_username()}  {token.name}  {token.hint}…  "
                f"made {token.created_at:%Y-%m-%d %H:%M}  {state}"
            )

    def revoke(self, id, **options):
        tokens = ApiToken.objects.filter(pk=id)
        if not tokens.exists():
            raise CommandError(f"There is no token {id}. `token list` shows those there are.")
        if not tokens.filter(revoked_at=None).update(revoked_at=timezone.now()):
            raise CommandError(f"Token {id} was revoked already.")
        self.stdout.write(f"Token {id} is revoked.")


def _user(name: str):
    model = get_user_model()
    try:
        return model.objects.get_by_natural_key(name)
    except model.DoesNotExist:
        raise CommandError(f"There is no user {name!r}.") from None
