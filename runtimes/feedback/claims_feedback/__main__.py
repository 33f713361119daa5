"""Starts the service: settings, database, writer, HTTP; ends it in the opposite order."""

import datetime as dt
import logging
import os
import signal
import sys

import uvicorn

from claims_feedback import errors, logger_intake, settings, storage
from claims_feedback.app import Service
from claims_feedback.metrics import Instruments
from claims_feedback.writer import Writer

logger = logging.getLogger("claims_feedback")

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep an idle connection, so that it is they who close it and never meet a closed one."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # uvicorn raises the signal again when it has shut down; as process 1 of a container there is no default handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        configured = settings.read_settings(os.environ)
        settings.read_tokens(configured.token_file)
        if configured.admin_token_file:
            settings.read_tokens(configured.admin_token_file)
        thresholds = logger_intake.read_thresholds(configured.logger_decision_thresholds)
        opened = storage.open_storage(configured, now=_now)
    except errors.CannotStart as error:
        logger.error("%s", error)
        return 2
    instruments = Instruments(opened.reader)
    intake = logger_intake.LoggerIntake(configured, thresholds, instruments)
    writer = Writer(
        opened.store,
        opened.retention,
        queue_max_rows=configured.queue_max_rows,
        observe_commit=instruments.observe_commit,
    )
    writer.start()
    try:
        serve(configured, Service(configured, writer, opened.reader, instruments, intake, now=_now))
    finally:
        writer.close()
        logger.info("Everything acknowledged is in %s.", opened.name)
    return 0


def serve(configured: settings.Settings, service: Service) -> None:
    """Answer requests until a signal; those under way get time to end."""
    logger.info("Listening on %s port %d.", configured.listen_host, configured.listen_port)
    uvicorn.run(
        service.build_app(),
        host=configured.listen_host,
        port=configured.listen_port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=configured.shutdown_seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
