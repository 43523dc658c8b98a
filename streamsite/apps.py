from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class Streamsite(AppConfig):
    name = "streamsite"


class Admin(AdminConfig):
    default_site = "streamsite.admin.Site"
