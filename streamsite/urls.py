from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("runs.web.api_urls")),
    path("", include("runs.web.page_urls")),
]

# Under /api/ they answer as JSON, elsewhere as pages.
handler400 = "runs.web.errors.bad_request"
handler403 = "runs.web.errors.forbidden"
handler404 = "runs.web.errors.not_found"
handler500 = "runs.web.errors.internal"
