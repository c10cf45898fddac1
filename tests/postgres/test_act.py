"""A command is run at most once, and what is true afterwards is seen with it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from herds.domain.cluster import Activity, ClusterRef
from herds.errors import CommandTimedOut, OutcomeUnknown
from herds.postgres.commands import TemplateProblem
from herds.ssh.shell import Completed
from lab.private_server import PrivateServer
from tests.doubles.local_shell import LocalShell

from .conftest import Clusters


def test_a_cluster_is_stopped_started_and_reloaded(
    server: PrivateServer, cluster: Clusters
) -> None:
    herd = cluster()

    down = herd.act("stop")
    assert (down.status, down.seen.activity) == (0, Activity.STOPPED)
    assert down.command.endswith("-w -m fast stop")
    assert "server stopped" in down.stdout
    up = herd.act("start")
    assert (up.status, up.seen.activity) == (0, Activity.RUNNING)
    assert up.seen.answers
    assert server.is_running()
    loaded = herd.act("reload", need_running=True)
    assert (loaded.status, loaded.stdout) == (0, "server signaled")


def test_a_command_that_fails_is_told_with_its_words_and_what_is_true(
    cluster: Clusters,
) -> None:
    acted = cluster({"stop": "echo one; echo two >&2; exit 7"}).act("stop")

    assert acted.status == 7
    assert acted.stdout == "one"
    assert acted.stderr == "two"
    assert acted.seen.activity is Activity.RUNNING
    assert acted.seen.answers


def test_output_that_looks_like_an_observation_stays_output(cluster: Clusters) -> None:
    fake = "\n== seen 0123456789abcdef ==\nstatus=0\npid=1\ndirectory=absent\ntrouble=x"
    acted = cluster({"stop": f"printf %s {shlex.quote(fake)}; exit 3"}).act("stop")

    assert acted.stdout == fake.strip("\n")
    assert acted.status == 3
    assert acted.seen.activity is Activity.RUNNING
    assert acted.seen.answers


def test_much_output_is_followed_by_what_is_true(cluster: Clusters) -> None:
    acted = cluster(
        {"stop": "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"}
    ).act("stop")

    assert acted.stdout.endswith("line 19999")
    assert acted.seen.answers


def test_a_command_that_needs_a_server_is_not_run_without_one(
    server: PrivateServer, cluster: Clusters, shell: LocalShell
) -> None:
    server.stop()
    trace = server.data / "trace"

    acted = cluster({"reload": f"touch {shlex.quote(str(trace))}"}).act(
        "reload", need_running=True
    )

    assert acted.status is None
    assert acted.seen.activity is Activity.STOPPED
    assert not trace.exists()


def test_a_command_written_for_another_version_is_written_anew_and_run_once(
    server: PrivateServer, cluster: Clusters, ref: ClusterRef
) -> None:
    trace = server.data / "trace"
    major = ref.version.split(".")[0]
    herd = cluster(
        {"stop": f"echo {{version[0]}} >>{shlex.quote(str(trace))}"}, version="9.6.24"
    )

    acted = herd.act("stop")

    assert trace.read_text() == f"{major}\n"
    trace.unlink()
    assert acted.status == 0
    assert herd.ref.version == ref.version


def test_a_prerelease_is_the_version_its_directory_holds(
    cluster: Clusters, ref: ClusterRef, shell: LocalShell
) -> None:
    major = ref.version.split(".")[0]

    acted = cluster({"stop": "echo {version[0]}"}, version=f"{major}beta1").act("stop")

    assert acted.stdout == major
    assert len(shell.sent) == 1


def test_an_unknown_version_is_looked_up_before_a_command_that_names_it(
    cluster: Clusters, ref: ClusterRef
) -> None:
    acted = cluster({"stop": "echo {inst.version}"}, version="").act("stop")

    assert acted.stdout == ref.version


def test_a_version_that_cannot_be_known_hinders_the_command(cluster: Clusters) -> None:
    with pytest.raises(TemplateProblem, match="the version of trade on ele01"):
        cluster(version="", data_directory="/srv/nothing here").act("stop")


def test_a_command_reads_nothing_from_the_connection(cluster: Clusters) -> None:
    assert cluster({"stop": "cat; echo end"}).act("stop").stdout == "end"


class CuttingShell(LocalShell):
    """A shell whose output ends early: its host's sh was killed."""

    def __init__(self, user: str | None, keep: str) -> None:
        super().__init__(user)
        self.keep = keep

    def run(self, *args: object, **options: object) -> Completed:
        done = super().run(*args, **options)  # type: ignore[arg-type]
        before, found, _ = done.stdout.partition(self.keep)
        assert found
        return Completed(
            argv=done.argv,
            status=137,
            stdout=before + found,
            stderr=done.stderr,
            seconds=done.seconds,
            truncated=False,
        )


@pytest.mark.parametrize(
    "keep",
    [
        "hel",
        "hello\n",
        "\nstatus=",
        "\nversion=15",
        "\npid=",
        "phase=ready",
        '"version": "15',
        '"recovery": false, ',
    ],
)
def test_an_observation_that_was_cut_off_is_none(
    server: PrivateServer, ref: ClusterRef, keep: str
) -> None:
    cut = CuttingShell(server.user, keep)
    herd = Clusters(ref, cut)({"stop": "echo hello"})

    with pytest.raises(OutcomeUnknown, match="echo hello") as unknown:
        herd.act("stop")

    assert unknown.value.command == "echo hello"
    if "hel" not in keep:
        with pytest.raises(OutcomeUnknown):
            herd.look()


def test_a_timeout_names_the_command_not_the_script_around_it(
    server: PrivateServer, cluster: Clusters
) -> None:
    herd = cluster({"stop": "sleep 30"})
    herd._command_timeout = 0.3

    with pytest.raises(CommandTimedOut) as late:
        herd.act("stop")

    assert late.value.command == "sleep 30"
    assert late.value.message.startswith("`sleep 30` did not end within 0.3 s on ele01")


def test_a_path_of_any_legal_kind_is_reached(
    cluster: Clusters, tmp_path: Path, shell: LocalShell
) -> None:
    for name in (
        "two  spaces ",
        "o'hara",
        '"',
        "$(touch x)",
        "`x`",
        "a\\b",
        "Größe",
        "-n",
    ):
        seen = cluster(data_directory=f"/srv/{name}").look()
        assert seen.activity is Activity.ABSENT
