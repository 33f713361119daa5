"""One progress display: a line a step, redrawn on a terminal and plain in a log."""

import sys
import threading
import time
from types import TracebackType


class Step:
    """One thing that takes a while. Use as a context manager."""

    def __init__(self, progress: "Progress", title: str, expected_seconds: float) -> None:
        """Name the step; ``expected_seconds`` is what it took on two cores, 0 where nobody measured."""
        self._progress = progress
        self._title = title
        self._expected = expected_seconds
        self._detail = ""
        self._started = 0.0
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def say(self, detail: str) -> None:
        """Say what is being done right now."""
        self._detail = detail

    def __enter__(self) -> "Step":
        """Start the clock."""
        self._started = time.monotonic()
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print how long it took, or that it failed."""
        self._ended.set()
        self._ticker.join()
        took = time.monotonic() - self._started
        self._progress.line("failed" if error else "done", self._title, f"{took:.1f} s", final=True)

    def _tick(self) -> None:
        interval = 0.5 if self._progress.terminal else 30.0
        while not self._ended.wait(interval):
            took = time.monotonic() - self._started
            usual = f" of about {self._expected:.0f} s" if self._expected else ""
            detail = f"  {self._detail}" if self._detail else ""
            self._progress.line("....", self._title, f"{took:.0f} s{usual}{detail}", final=False)


class Progress:
    """Prints steps to standard error; the result of a command goes to standard output."""

    def __init__(self) -> None:
        """Find out whether anybody watches."""
        self.terminal = sys.stderr.isatty()
        self._started = time.monotonic()

    def step(self, title: str, expected_seconds: float = 0.0) -> Step:
        """Return a step to be used in a ``with`` statement."""
        return Step(self, title, expected_seconds)

    def line(self, mark: str, title: str, text: str, *, final: bool) -> None:
        """Print or redraw one line."""
        elapsed = time.monotonic() - self._started
        row = f"[{elapsed:5.0f} s] {mark:6} {title:44} {text}"
        if self.terminal:
            sys.stderr.write("\r\x1b[K" + row + ("\n" if final else ""))
        else:
            sys.stderr.write(row + "\n")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """Print a line of its own."""
        sys.stderr.write(("\r\x1b[K" if self.terminal else "") + text + "\n")
        sys.stderr.flush()
