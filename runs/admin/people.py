"""Accounts and groups, as Django has them; every change is noted."""

from django.contrib import admin
from django.contrib.auth import admin as theirs
from django.contrib.auth.models import Group, User

from .noting import NotingAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(NotingAdmin, theirs.UserAdmin):
    pass


@admin.register(Group)
class GroupAdmin(NotingAdmin, theirs.GroupAdmin):
    pass
