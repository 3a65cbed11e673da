"""What the scripts share: processes with a time limit, the GPU's facts, tables."""
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent


def say(text):
    print(text, flush=True)


def program(path, what, make):
    """The path of a program that must be there, or the end."""
    found = pathlib.Path(path)
    if not (found.is_file() and os.access(found, os.X_OK)):
        sys.exit(f"{what}: {path} is no executable file; {make}")
    return str(found.resolve())


def shown(arguments):
    """A command line as it is put down: paths inside the repository relative to it, others by their last name."""
    out = []
    for argument in map(str, arguments):
        if os.path.isabs(argument):
            path = pathlib.Path(argument)
            argument = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
        out.append(argument)
    return out


class Process:
    """A child in a process group of its own; its lines arrive as it writes them."""

    def __init__(self, arguments, env=None, stdin=False, cwd=ROOT):
        self.arguments = [str(a) for a in arguments]
        self.errors = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            self.arguments, cwd=cwd, env=env, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True)
        self.arrived = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.arrived.put(line.decode(errors="replace").rstrip("\n"))
        self.arrived.put(None)

    def send(self, text):
        """Writes standard input and closes it; a child that is gone already says so by its exit status."""
        try:
            self.child.stdin.write(text.encode())
            self.child.stdin.close()
        except BrokenPipeError:
            pass

    def lines(self, limit):
        """Yields lines until the child ends. Beyond limit seconds it is killed, with all that it started: TimeoutError."""
        end = time.monotonic() + limit
        while True:
            try:
                line = self.arrived.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise TimeoutError(f"killed after {limit:.0f} s") from None
            if line is None:
                break
            yield line
        try:
            self.child.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"killed after {limit:.0f} s") from None

    def kill(self):
        if self.child.poll() is None:
            try:
                os.killpg(self.child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.child.wait()

    def complaint(self):
        """The last line of standard error."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "no word on standard error"


GPU_FIELDS = ("name", "driver_version", "memory.total", "power.limit", "clocks.max.sm", "temperature.gpu")


def gpu():
    """What nvidia-smi says of the first GPU; empty where there is none."""
    smi = shutil.which("nvidia-smi")
    if not smi:
        return {}
    try:
        out = subprocess.run([smi, f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader"],
                             capture_output=True, text=True, timeout=30, check=True).stdout
    except (subprocess.SubprocessError, OSError) as e:
        say(f"nvidia-smi: {e}")
        return {}
    values = [v.strip() for v in out.splitlines()[0].split(",")] if out.strip() else []
    return dict(zip(GPU_FIELDS, values))


def table(rows):
    """Rows of cells as Markdown, columns aligned; the first row is the heading."""
    widths = [max(len(str(row[n])) for row in rows) for n in range(len(rows[0]))]
    lines = ["| " + " | ".join(str(c).ljust(w) for c, w in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join(lines)
