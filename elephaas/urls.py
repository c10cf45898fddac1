"""The site's addresses: the front page leads to the admin; metrics and health."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", include("herds.monitoring.urls")),
    path("admin/", admin.site.urls),
]
