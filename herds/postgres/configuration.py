"""Reads the settings of a stopped cluster, and brings its files to a new host."""

from __future__ import annotations

from posixpath import dirname

from herds.errors import CommandFailed, PreconditionFailed

from .cluster import Cluster
from .files import read_small, write_atomically
from .look import script
from .sql_text import with_settings


def read_settings(cluster: Cluster, *names: str) -> dict[str, str]:
    """Read settings of a stopped cluster as its next start would see them.

    All files that count are read, by PostgreSQL itself (``postgres -C``), with the
    main one that it was last started with, or where that is not known the one in the
    data directory, or Debian's.

    Raises:
        PreconditionFailed: there is no cluster, or it runs.
        CommandFailed: its configuration has errors; it could not start either.
        ElephaasError: nothing is known of the host.
    """
    argv = ["sh", "-c", script("settings.sh"), "elephaas"]
    argv += [cluster.ref.data_directory, cluster.ref.base_name, *names]
    words = "read the settings"
    done = cluster.run_script(argv, words)
    if done.status != 0:
        raise CommandFailed(cluster.host, words, done.status, done.stderr)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def read_auto_conf(cluster: Cluster) -> str:
    """Read a cluster's ``postgresql.auto.conf``; empty where there is none.

    Bytes that are not UTF-8 are kept as surrogates, to be written back as they were.

    Raises:
        ElephaasError: it cannot be read, or nothing is known of the host.
    """
    path = f"{cluster.ref.data_directory}/postgresql.auto.conf"
    return (read_small(cluster.shell, path) or b"").decode("utf-8", "surrogateescape")


def write_setting(cluster: Cluster, name: str, value: str) -> None:
    """Write one setting of a stopped cluster, where it counts more than other files.

    Raises:
        ElephaasError: there is no cluster, or it cannot be written.
    """
    text = with_settings(read_auto_conf(cluster), {name: value})
    write_atomically(
        cluster.shell,
        f"{cluster.ref.data_directory}/postgresql.auto.conf",
        text.encode("utf-8", "surrogateescape"),
    )


def bring_configuration(source: Cluster, config_file: str, target: Cluster) -> bool:
    """Give a new member the configuration that lies outside the data directory.

    Debian keeps it under ``/etc/postgresql``, and its tools know no cluster without
    it. A target that has one keeps it: it is that host's own. The file that PostgreSQL
    reads first is written last, so that a half-made copy is never taken for a whole.

    Args:
        source: the member whose configuration serves as the model.
        config_file: its main configuration file, as a probe tells it.
        target: the member that is to be.

    Returns:
        Whether something was brought.

    Raises:
        PreconditionFailed: the directory cannot be made.
        ElephaasError: nothing is known of a host.
    """
    directory = dirname(config_file)
    if not config_file or _is_inside(config_file, source.ref.data_directory):
        return False
    if read_small(target.shell, config_file) is not None:
        return False
    main = read_small(source.shell, config_file)
    if main is None:
        raise PreconditionFailed(
            f"{config_file} on {source.host} cannot be read.", host=source.host
        )
    rest = source.shell.run(["sh", "-c", script("conf_read.sh"), "elephaas", directory])
    done = target.shell.run(
        ["sh", "-c", script("conf_write.sh"), "elephaas", directory],
        ok=None,
        stdin=rest.stdout.encode(),
    )
    if done.status != 0:
        raise PreconditionFailed(
            f"{directory} cannot be made on {target.host}: {done.stderr.strip()}.",
            host=target.host,
            output=done.stderr,
            hint=f"Make {dirname(directory)} there, owned by the remote user.",
        )
    if source.ref.data_directory != target.ref.data_directory:
        text = main.decode("utf-8", "surrogateescape")
        here = {"data_directory": target.ref.data_directory}
        main = with_settings(text, here).encode("utf-8", "surrogateescape")
    write_atomically(target.shell, config_file, main, mode=0o644)
    return True


def _is_inside(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
