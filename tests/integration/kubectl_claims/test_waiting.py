"""Waiting, watching, and an API server that goes away meanwhile."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import yaml
from integration.kubectl_claims.command import environment, finish, hear_ctrl_c, run, start
from played_cluster import Quality
from played_world import World, model

from claims_cluster.controlplane import ControlPlane
from claims_operator.api import names

LONG_SECONDS = 60


async def read_until(stream: asyncio.StreamReader, text: str) -> str:
    """Return what was written up to a text."""
    seen = ""
    async with asyncio.timeout(LONG_SECONDS):
        while text not in seen:
            part = await stream.read(4096)
            assert part, f"it ended without {text!r}: {seen}"
            seen += part.decode()
    return seen


async def read_terminal_until(control: int, text: str | None) -> str:
    """Return what was drawn up to a text; None: until the other side is closed."""
    seen = ""
    async with asyncio.timeout(LONG_SECONDS):
        while text is None or text not in seen:
            try:
                part = await asyncio.to_thread(os.read, control, 65536)
            except OSError:  # So Linux says that nobody has the terminal open any more.
                part = b""
            if not part:
                assert text is None, f"it ended without {text!r}: {seen}"
                return seen
            seen += part.decode(errors="replace")
    return seen


async def test_wait_for_promoted_comes_back_when_it_is(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    waiting = await start(api_server.kubeconfig, "wait", "claim-risk", "-n", world.key.namespace, "--for=promoted")
    await world.run_until(lambda status: status.stable.version == "2.0.0" and status.state == "Serving")
    answer = await finish(waiting)

    assert (answer.code, answer.output, answer.errors) == (0, "2.0.0 is stable\n", "")


async def test_wait_for_promoted_ends_with_5_at_a_rollback(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    world.traffic.qualities["2.0.0"] = Quality(failed=0.3)
    await world.change(model=model(2, "2.0.0"))
    where = ("claim-risk", "-n", world.key.namespace)
    promoted = await start(api_server.kubeconfig, "wait", *where, "--for=promoted")
    rolled_back = await start(api_server.kubeconfig, "wait", *where, "--for=rolledback", "--timeout=10m")
    await world.run_until(lambda status: status.state == "RolledBack" and not status.retiring)
    gave_up, came = await finish(promoted), await finish(rolled_back)

    assert gave_up.code == 5
    assert gave_up.errors.startswith("error: claim-risk will not be promoted by itself: RolledBack: serving 1.0.0")
    assert came.code == 0
    assert came.output.startswith("serving 1.0.0, rejected 2.0.0: ")


async def test_what_does_not_come_in_time_ends_with_4_and_says_how_things_stand(
    world: World, api_server: ControlPlane
) -> None:
    await world.serve_first_version()
    answer = await run(
        api_server.kubeconfig,
        "wait",
        "claim-risk",
        "-n",
        world.key.namespace,
        "--for=condition=Analysed",
        "--timeout=1s",
    )

    assert answer.code == 4
    assert answer.errors == (
        "error: claim-risk was not Analysed=True in time: Serving (Serving): 1.0.0 serves all requests\n"
    )


async def test_a_deletion_ends_the_wait(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    where = ("claim-risk", "-n", world.key.namespace)
    waiting = await start(api_server.kubeconfig, "wait", *where, "--for=rolledback")
    hopeless = await finish(waiting)
    assert hopeless.code == 5
    waiting = await start(api_server.kubeconfig, "wait", *where, "--for=condition=Analysed")
    await asyncio.sleep(3)
    await world.cluster.delete(names.CLAIMS_MODEL, await world.live())
    answer = await finish(waiting)

    assert answer.code == 5
    assert answer.errors == "error: claim-risk will not be Analysed=True: it is being deleted\n"


async def test_watch_writes_every_picture_into_a_pipe_and_ends_in_order(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    watching = await start(api_server.kubeconfig, "get", "claim-risk", "-n", world.key.namespace, "--watch")
    assert watching.stdout is not None
    await read_until(watching.stdout, "stable, 1.0.0, 100 %")
    await world.change(model=model(2, "2.0.0"))
    await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
    await read_until(watching.stdout, "candidate, 2.0.0, 10 %")
    watching.send_signal(signal.SIGINT)
    answer = await finish(watching)

    assert (answer.code, answer.errors) == (0, "")


async def test_watch_redraws_on_a_terminal_until_ctrl_c(world: World, api_server: ControlPlane) -> None:
    await world.serve_first_version()
    control, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kubectl_claims", "get", "claim-risk", "-n", world.key.namespace, "--watch",
        env=environment(api_server.kubeconfig) | {"TERM": "xterm", "COLUMNS": "150", "LINES": "50"},
        stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    os.close(terminal)
    try:
        await read_terminal_until(control, "stable, 1.0.0, 100 %")
        await world.change(model=model(2, "2.0.0"))
        await world.run_until(lambda status: status.candidate is not None and status.candidate.weight == 10)
        drawn = await read_terminal_until(control, "candidate, 2.0.0, 10 %")
        process.send_signal(signal.SIGINT)
        rest = await read_terminal_until(control, None)
        await process.wait()
    finally:
        os.close(control)

    assert process.returncode == 0
    # It goes back up and writes over what it drew; at the end the cursor is shown again.
    assert "\x1b[1A" in drawn
    assert "\x1b[?25h" in rest
    assert "Traceback" not in rest


class Proxy:
    """Passes connections on to the API server until it is stopped, which ends them all."""

    def __init__(self, address: str) -> None:
        self._address = urlsplit(address)
        self._copies: set[asyncio.Task[None]] = set()
        self.port = 0
        self.answered_bytes = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._copies:
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)

    async def wait_for_answers(self, least_bytes: int) -> None:
        """Come back when so much was answered."""
        async with asyncio.timeout(LONG_SECONDS):
            while True:
                if self.answered_bytes >= least_bytes:
                    return
                await asyncio.sleep(0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection(self._address.hostname, self._address.port)
        self._copies.add(asyncio.create_task(self._copy(reader, back, count=False)))
        self._copies.add(asyncio.create_task(self._copy(onward, writer, count=True)))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, count: bool) -> None:
        try:
            with contextlib.suppress(OSError):
                while part := await source.read(65536):
                    self.answered_bytes += len(part) if count else 0
                    sink.write(part)
                    await sink.drain()
        finally:
            sink.close()
            with contextlib.suppress(OSError):
                await sink.wait_closed()


async def test_an_api_server_that_goes_away_and_comes_back_is_waited_for(
    world: World, api_server: ControlPlane, tmp_path: Path
) -> None:
    await world.serve_first_version()
    await world.change(model=model(2, "2.0.0"))
    await world.step()
    config = yaml.safe_load(api_server.kubeconfig.read_text(encoding="utf-8"))
    path = tmp_path / "config"
    where = ("claim-risk", "-n", world.key.namespace)
    between = Proxy(api_server.address)
    async with between:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{between.port}"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        waiting = await start(path, "wait", *where, "--for=promoted")
        # It has read the object once: what happens from now on, it lives through.
        await between.wait_for_answers(2 * len(json.dumps(await world.live())))
        watching = await start(path, "get", *where, "--watch")
        assert watching.stdout is not None
        assert watching.stderr is not None
        await read_until(watching.stdout, "Progressing")
    await read_until(watching.stderr, "trying again")
    assert waiting.returncode is None
    await world.run_until(lambda status: status.stable.version == "2.0.0" and status.state == "Serving")
    async with between:
        answer = await finish(waiting)
        await read_until(watching.stdout, "stable, 2.0.0, 100 %")
        watching.send_signal(signal.SIGINT)
        await finish(watching)

    assert (answer.code, answer.output) == (0, "2.0.0 is stable\n")
    assert watching.returncode == 0
