"""A program that answers line by line: started, asked, and stopped when it misbehaves.

It runs in a session of its own, so that everything it starts can be stopped with it and Ctrl-C reaches only us. What
it says on standard error is kept out of ours; the last line explains its death.
"""

from __future__ import annotations

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress

from encmempool.errors import EnvironmentProblem

REPLY_LIMIT_BYTES = 1 << 24
_CHUNK = 1 << 16
_STDERR_KEPT = 4096
_FAREWELL_S = 2.0


class NoAnswer(Exception):
    """The program did not answer with one line in time; it has been stopped and the next question starts it again."""


class Program:
    """At most one process at a time.

    command         as in a shell, but no shell runs it
    time_limit_s    for a question and its answer, the program's start included

    ValueError for an empty command or unclosed quotes; EnvironmentProblem if there is no such program.
    """

    def __init__(self, command: str, *, time_limit_s: float) -> None:
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"the command {command!r} cannot be read: {error}") from None
        if not self._arguments:
            raise ValueError("the command of the implementation is empty")
        if shutil.which(self._arguments[0]) is None:
            raise EnvironmentProblem(f"there is no program {self._arguments[0]!r}: give a path, or install it")
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._last_words = b""

    def ask(self, question: bytes) -> bytes:
        """The line that answers, without its end. Raises NoAnswer."""
        try:
            return self._ask(question + b"\n")
        except BaseException:
            self.stop()
            raise

    def close(self) -> None:
        """End of input; a program that does not leave is stopped."""
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_FAREWELL_S)
        self.stop()

    def stop(self) -> None:
        """At once; the next question starts it again."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _ask(self, unsent: bytes) -> bytes:
        deadline = time.monotonic() + self._time_limit_s
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        answer = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fileobj is process.stdin:
                        try:
                            unsent = unsent[os.write(key.fd, unsent[:_CHUNK]) :]
                        except BrokenPipeError:
                            unsent = b""  # its end of output says the rest
                        if not unsent:
                            selector.unregister(key.fileobj)
                        continue
                    chunk = os.read(key.fd, _CHUNK)
                    if key.fileobj is process.stderr:
                        self._last_words = (self._last_words + chunk)[-_STDERR_KEPT:]
                        if not chunk:
                            selector.unregister(key.fileobj)
                        continue
                    if not chunk:
                        raise NoAnswer(self._death(process, partial=bool(answer)))
                    answer += chunk
                    if b"\n" in chunk:
                        return self._one_line(bytes(answer))
                    if len(answer) > REPLY_LIMIT_BYTES:
                        raise NoAnswer(f"answered with more than {REPLY_LIMIT_BYTES:,} bytes")
        raise NoAnswer(f"no answer within {self._time_limit_s:g} s")

    def _one_line(self, answer: bytes) -> bytes:
        line, _, rest = answer.partition(b"\n")
        if rest:
            raise NoAnswer(f"answered with more than one line, first {shown(line)}")
        if len(line) > REPLY_LIMIT_BYTES:
            raise NoAnswer(f"answered with more than {REPLY_LIMIT_BYTES:,} bytes")
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(
                self._arguments, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
            )
        except OSError as error:
            raise EnvironmentProblem(f"{self._arguments[0]!r} cannot be started: {error.strerror or error}") from None
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
        self._process, self._last_words = process, b""
        return process

    def _death(self, process: subprocess.Popen[bytes], *, partial: bool) -> str:
        assert process.stderr is not None
        with suppress(OSError):
            while chunk := os.read(process.stderr.fileno(), _CHUNK):
                self._last_words = (self._last_words + chunk)[-_STDERR_KEPT:]
        try:
            code = process.wait(0.5)
        except subprocess.TimeoutExpired:
            how = "closed its output"
        else:
            how = f"exited with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        if partial:
            how += " in the middle of a line"
        lines = self._last_words.strip().splitlines()
        return f"{how}: {shown(lines[-1])}" if lines else f"{how} without an answer"


def shown(line: bytes, limit: int = 80) -> str:
    """The start of what a program printed, safe for a terminal."""
    text = line[: 4 * limit].decode(errors="replace").strip()
    text = "".join(c if c.isascii() and c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= limit else text[:limit] + "…"
