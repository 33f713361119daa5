"""A real PostgreSQL server of the tests' own, on a port of its own, in a temporary folder."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from unit.claims_feedback.feedback_process import free_port

START_SECONDS = 60.0
USER = "postgres"
"""The server's superuser, and whom the server runs as where the tests run as root, which it refuses to."""


class PostgresServer:
    """A server that `started` runs."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.password_file = folder / "password"
        self.password_file.write_text(secrets.token_hex(8))
        self._folder = folder
        self._bin = _programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = USER if os.geteuid() == 0 else None
        if self._user is not None:
            for path in (folder, self.password_file):
                os.chown(path, pwd.getpwnam(USER).pw_uid, -1)
        options = ("--auth=scram-sha-256", f"--username={USER}", f"--pwfile={self.password_file}", "--encoding=UTF8")
        subprocess.run(
            [self._bin / "initdb", f"--pgdata={folder}/data", "--no-sync", "--locale=C", *options],
            check=True,
            user=self._user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder}
        given = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._folder / "data", *given],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                assert self._process.poll() is None, (self._folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it as its machine would that is shut down: every connection breaks."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it without a chance to write anything more."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:  # Not when a test stopped it.
            self._process.send_signal(how)
            self._process.wait(timeout=START_SECONDS)
            self._process = None

    def connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as the superuser."""
        return psycopg.connect(self.url(database), password=self.password_file.read_text(), autocommit=True)

    def url(self, database: str) -> str:
        """Return the URL of a database, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Create an empty database; return its URL."""
        name = f"feedback_{secrets.token_hex(6)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextmanager
def started() -> Iterator[PostgresServer]:
    """Run a server until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="claims-feedback-postgres-"))  # Not pytest's: others may not enter that.
    try:
        server = PostgresServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()  # Nobody needs what is in it.
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of the server's programs; Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders = [folder for folder in folders if (folder / "postgres").exists()]
    assert folders, "These tests run a PostgreSQL server, and none is installed: apt-get install postgresql"
    return folders[-1]
