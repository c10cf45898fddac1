"""Sets ElepHaaS up and tells it about the lab: a program for the control host.

``python -m lab.demo_fleet`` reads a JSON object from standard input: ``herds`` and
``domain`` as ``status --json`` has them, ``host_keys`` and ``passwords``. It makes the
tables and adds what is missing, through the product's own models and services, and
prints what it added. All is done in one process, because each needs a second to begin.
"""

import json
import sys
from typing import Any

import django
from django.core.management import call_command

ENVIRONMENTS = {
    "prod": "Customers notice. Announce what you do.",
    "stage": "The rehearsal of production; as big, and nobody waits for it.",
    "dev": "For trying things out. Ask the team before you erase anything.",
}


def main() -> None:
    """Make the tables; add environments, servers, herds, instances and people."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    facts = json.load(sys.stdin)
    herds = facts["herds"]
    for name in dict.fromkeys(herd["environment"] for herd in herds.values()):
        _add_environment(name)
    homes = {
        host: herd["environment"] for herd in herds.values() for host in herd["members"]
    }
    for host, environment in sorted(homes.items()):
        _add_server(host, environment, facts["host_keys"][host])
    for name, herd in herds.items():
        _add_herd(name, herd)
    for name, password in facts["passwords"].items():
        _add_person(name, password)


def _say(what: str, name: str) -> None:
    print(f"{what} {name}", flush=True)


def _add_environment(name: str) -> None:
    from herds.models import Environment

    _, is_new = Environment.objects.get_or_create(
        env_name=name, defaults={"env_descr": ENVIRONMENTS.get(name, "")}
    )
    if is_new:
        _say("environment", name)


def _add_server(host: str, environment: str, key: str) -> None:
    """Meet a host as the product does, and pin the key it was given by the lab."""
    from herds.models import Environment, Server
    from herds.services import servers

    if Server.objects.filter(hostname=host).exists():
        return
    presented = servers.present_host_key(host)
    if str(presented) != key:
        raise SystemExit(f"{host} shows another host key than the lab gave it.")
    servers.check_login(host, presented)
    server = Server(
        hostname=host, environment=Environment.objects.get(env_name=environment)
    )
    servers.accept_host_key(server, presented, by="the lab")
    server.full_clean()
    server.save()
    _say("server", host)


def _add_herd(name: str, facts: dict[str, Any]) -> None:
    from herds.models import Environment, Herd, Instance, Server

    herd, is_new = Herd.objects.get_or_create(
        herd_name=name,
        environment=Environment.objects.get(env_name=facts["environment"]),
        defaults={
            "base_name": name,
            "db_port": facts["port"],
            "pgdata": facts["data_root"],
            "vhost": facts["vhost"],
        },
    )
    if is_new:
        _say("herd", name)
    for host in facts["members"]:
        _, is_new = Instance.objects.get_or_create(
            herd=herd, server=Server.objects.get(hostname=host)
        )
        if is_new:
            _say("instance", f"{name}@{host}")


def _add_person(name: str, password: str) -> None:
    """Add the administrator, or a colleague who may look at everything."""
    from django.contrib.auth.models import Permission, User

    if User.objects.filter(username=name).exists():
        return
    if name == "admin":
        User.objects.create_superuser(name, password=password)
    else:
        user = User.objects.create_user(name, password=password, is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(
                content_type__app_label="herds", codename__startswith="view_"
            )
        )
    _say("login", name)


if __name__ == "__main__":
    main()
