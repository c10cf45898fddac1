"""The forms of servers and instances, with what only these two have to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from herds.admin.facts import environment_name
from herds.errors import ElephaasError, HostKeyChanged
from herds.models import Environment, Herd, Instance, Server
from herds.services import servers
from herds.services.servers import HostKey

if TYPE_CHECKING:
    ServerModelForm = forms.ModelForm[Server]
    InstanceModelForm = forms.ModelForm[Instance]
    HerdChoices = forms.ModelChoiceField[Herd]
    ServerChoices = forms.ModelChoiceField[Server]
    EnvironmentChoices = forms.ModelChoiceField[Environment]
else:
    ServerModelForm = InstanceModelForm = forms.ModelForm
    HerdChoices = ServerChoices = EnvironmentChoices = forms.ModelChoiceField

SHOWN_KEY_HOURS = 1
"""For how long a shown host key may be accepted before it is fetched again."""

_SALT = "herds.server.shown-host-key"


def sign_shown_key(hostname: str, key: HostKey) -> str:
    """Return proof that this key was shown for this host, for a form to carry."""
    return signing.dumps([hostname, str(key)], salt=_SALT)


def read_shown_key(hostname: str, proof: str) -> HostKey | None:
    """Return the key that was shown for this host; None if none was, or long ago."""
    try:
        shown_for, key = signing.loads(
            proof, salt=_SALT, max_age=SHOWN_KEY_HOURS * 3600
        )
    except signing.BadSignature:
        return None
    return servers.read_host_key(key) if shown_for == hostname else None


class HostKeyFields(forms.Form):
    """What a page that shows a host key for acceptance sends back."""

    shown_key = forms.CharField(required=False, widget=forms.HiddenInput)
    accept_key = forms.BooleanField(required=False)


class ServerForm(ServerModelForm):
    """A server, saved once its host key was accepted and this service can log in.

    The first time it is sent, the host is asked for its key, and the form comes back
    with the fingerprint for a person to compare. The second time, with the key
    accepted, a login is tried. Either takes a few seconds at most.
    """

    shown_key = forms.CharField(required=False, widget=forms.HiddenInput)
    accept_key = forms.BooleanField(required=False)

    key_to_show: HostKey | None = None
    """The key a person has to accept before the server can be saved."""

    shown_for: str = ""
    """The host that presented it."""

    is_ticked: bool = False
    """Whether the person has accepted the shown key already."""

    accepted_key: HostKey | None = None
    """The key that was accepted with this form, and that a login was seen to work."""

    class Meta:
        model = Server
        fields = ["environment", "hostname"]

    @property
    def signed_key(self) -> str:
        """Return the proof of what is shown now, for the hidden field."""
        if self.key_to_show is None:
            return ""
        return sign_shown_key(self.shown_for, self.key_to_show)

    def is_valid(self) -> bool:
        """Tell whether the server can be saved: not while its key has to be shown."""
        return super().is_valid() and self.key_to_show is None

    def clean_hostname(self) -> str:
        """Refuse what is no name, or is taken, before any host is asked."""
        hostname: str = self.cleaned_data["hostname"].lower().removesuffix(".")
        Server._meta.get_field("hostname").run_validators(hostname)
        taken = Server.objects.filter(hostname=hostname).exclude(pk=self.instance.pk)
        if taken.exists():
            raise ValidationError("A server of this name exists already.")
        return hostname

    def clean(self) -> dict[str, Any] | None:
        """Ask the host for its key, or log in with the accepted one."""
        cleaned = super().clean()
        if not self.errors and self._is_another_host():
            self._meet(self.cleaned_data["hostname"])
        return cleaned

    def _is_another_host(self) -> bool:
        return self.instance.pk is None or "hostname" in self.changed_data

    def _meet(self, hostname: str) -> None:
        """Show the host's key, or log in with the key that was shown and accepted."""
        self.shown_for = hostname
        shown = read_shown_key(hostname, self.cleaned_data["shown_key"])
        try:
            if shown is None:
                self.key_to_show = servers.present_host_key(hostname)
            elif self.cleaned_data["accept_key"]:
                self._log_in(hostname, shown)
            else:
                self.key_to_show = shown
        except ElephaasError as refusal:
            self.add_error("hostname", refusal.sentence())

    def _log_in(self, hostname: str, key: HostKey) -> None:
        """Try the accepted key; where that fails, show what has to be accepted."""
        try:
            servers.check_login(hostname, key)
        except HostKeyChanged as changed:
            self.add_error("hostname", changed.sentence())
            self.key_to_show = servers.present_host_key(hostname)
        except ElephaasError:
            self.key_to_show, self.is_ticked = key, True
            raise
        else:
            self.accepted_key = key


class EnvironmentSelect(forms.Select):
    """A drop-down whose options know their environment, for the script to filter."""

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Add the environment's number to an option that stands for a row."""
        option = super().create_option(*args, **kwargs)
        row = getattr(option["value"], "instance", None)
        if row is not None:
            option["attrs"]["data-environment"] = row.environment_id or ""
        return option

    def render(
        self, name: str, value: Any, attrs: Any = None, renderer: Any = None
    ) -> SafeString:
        """Write the options here: a template for each takes long for thousands."""
        widget = self.get_context(name, value, attrs)["widget"]
        options = format_html_join(
            "\n",
            '<option value="{}"{}>{}</option>',
            (
                (option["value"], flatatt(option["attrs"]), option["label"])
                for _, group, _ in widget["optgroups"]
                for option in group
            ),
        )
        return format_html(
            '<select name="{}"{}>\n{}\n</select>',
            widget["name"],
            flatatt(widget["attrs"]),
            options,
        )


class HerdChoiceField(HerdChoices):
    """A herd, named with its environment."""

    widget = EnvironmentSelect

    def label_from_instance(self, obj: Herd) -> str:
        """Name the herd and where it lives."""
        return f"{obj.herd_name} ({environment_name(obj) or 'no environment'})"


class ServerChoiceField(ServerChoices):
    """A server, named with its environment."""

    widget = EnvironmentSelect

    def label_from_instance(self, obj: Server) -> str:
        """Name the host and where it lives."""
        return f"{obj.hostname} ({environment_name(obj) or 'no environment'})"


MAJORS = ("18", "17", "16", "15", "14")
"""The major versions that a brand-new cluster may have."""


class InstanceForm(InstanceModelForm):
    """An instance; its server has to live in its herd's environment."""

    new_version = forms.ChoiceField(
        label="Version of a New Herd",
        required=False,
        choices=[("", "---------"), *((major, major) for major in MAJORS)],
        help_text=(
            "Only to create a brand-new cluster: where there is no data directory yet, "
            "and no primary to copy."
        ),
    )

    class Meta:
        model = Instance
        fields = ["herd", "server", "local_pgdata"]

    def clean(self) -> dict[str, Any] | None:
        """Refuse a server of another environment."""
        cleaned = super().clean()
        herd = self.cleaned_data.get("herd")
        server = self.cleaned_data.get("server")
        if herd and server and herd.environment_id != server.environment_id:
            self.add_error("server", _foreign(herd, server))
        return cleaned


def _foreign(herd: Herd, server: Server) -> str:
    return (
        f"{server.hostname} {_lives(server)}, "
        f"but herd {herd.herd_name} {_lives(herd)}. "
        "Choose a server of the herd's environment."
    )


def _lives(owner: Herd | Server) -> str:
    name = environment_name(owner)
    return f"belongs to {name}" if name else "belongs to no environment"
