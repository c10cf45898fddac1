"""The Django application: label, name, and the start-up hooks."""

from django.apps import AppConfig


class HerdsConfig(AppConfig):
    name = "herds"
    label = "herds"
    verbose_name = "Elephant Herd as a Service"
    default_auto_field = "django.db.models.BigAutoField"
