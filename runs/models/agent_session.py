"""Prompts that wait for their first reader."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from .run import Run, new_public_id


class AgentSessionQuerySet(models.QuerySet):
    LIFETIME = timedelta(hours=1)
    WAITING = 100

    def waiting(self):
        return self.filter(launched=False, created_at__gt=Now() - self.LIFETIME)

    def prepare(self, owner, prompt: str):
        """A session that waits for its first reader; None if the owner has too many."""
        self.filter(launched=False, created_at__lte=Now() - self.LIFETIME).delete()
        if self.waiting().filter(owner=owner).count() >= self.WAITING:
            return None
        return self.create(owner=owner, prompt=prompt)

    def take(self, session) -> bool:
        """Whether it is ours to launch; of any number who try, one is told so."""
        return self.waiting().filter(pk=session.pk).update(launched=True, prompt="") == 1


class AgentSession(models.Model):
    """A checked prompt that waits to be launched, and then the run it became."""

    public_id = models.CharField(max_length=40, unique=True, default=new_public_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    prompt = models.TextField()
    launched = models.BooleanField(default=False)
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    objects = AgentSessionQuerySet.as_manager()

    def __str__(self):
        return self.public_id
