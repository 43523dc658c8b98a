"""The admin site: for administrators, and for auditors, who need not be staff."""

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache


class Site(AdminSite):
    site_header = site_title = "streamsite"
    index_title = "Audit and administration"

    def has_permission(self, request) -> bool:
        user = request.user
        return user.is_active and (user.is_staff or user.has_perm("runs.view_run"))

    @method_decorator(never_cache)
    def login(self, request, extra_context=None):
        """One login page for everything: it knows people who are not staff."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied("Your account may not use the admin. Ask an administrator.")
        return redirect_to_login(request.GET.get("next") or "/admin/")
