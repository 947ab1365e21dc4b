"""Hosts made of Linux namespaces: each has a name, a network card and processes of its own; they share the disk."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.train.runs import REPOSITORY, environment

_NAMESPACES = ["--net", "--uts", "--mount", "--pid"]


class HostsNotPossibleError(Exception):
    """This machine does not let us make namespaces; says why."""


class Hosts:
    """Context manager: two hosts joined by a cable, which know each other by name.

    As on Debian and Ubuntu each resolves its own name to 127.0.1.1. Namespaces live as long as their first processes:
    nothing is left behind, not even by a killed test.

    Raises:
        HostsNotPossibleError: not Linux, not root, or not allowed.
    """

    names = ("omni-host-0", "omni-host-1")
    addresses = ("10.213.77.10", "10.213.77.11")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first: list[int] = []  # the first process of each host

    def __enter__(self) -> "Hosts":
        with ExitStack() as stack:
            try:
                self._first = [stack.enter_context(_FirstProcess()).number for _ in self.names]
                here, there = map(str, self._first)
                cable = ["ip", "link", "add", "card", "type", "veth", "peer", "name", "card", "netns", there]
                _run(["nsenter", "--target", here, "--net", *cable])  # with numbers of processes as they are here
                for index in range(len(self.names)):
                    self._set_up(index)
            except (OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", None) or error
                raise HostsNotPossibleError(f"no hosts made of namespaces here: {said}") from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self, host: int, command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
        """Start a command on a host, in the repository; what it says goes to `log`."""
        with log.open("wb") as stream:
            return subprocess.Popen(
                [*self._enter(host), *command], cwd=REPOSITORY, env=environment(), stdout=stream, stderr=stream
            )

    def processes(self, host: int, word: str) -> list[int]:
        """Numbers of the processes of a host whose command line has an argument `word`, oldest first."""
        here = os.readlink(f"/proc/{self._first[host]}/ns/net")
        found = []
        for number in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            try:
                arguments = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
                if os.readlink(f"/proc/{number}/ns/net") == here and word.encode() in arguments:
                    found.append(number)
            except OSError:  # it has ended
                continue
        return found

    def _set_up(self, index: int) -> None:
        own = self.names[index]
        lines = ["127.0.0.1 localhost", f"127.0.1.1 {own}"]
        known = zip(self.addresses, self.names, strict=True)
        lines += [f"{address} {name}" for address, name in known if name != own]
        hosts = self.folder / f"hosts-{index}"
        hosts.write_text("\n".join(lines) + "\n")
        self._shell(index, f"hostname {own} && mount --bind {hosts} /etc/hosts")
        self._shell(index, f"ip address add {self.addresses[index]}/24 dev card && ip link set card up")
        self._shell(index, "ip link set lo up")

    def _shell(self, host: int, line: str) -> None:
        _run([*self._enter(host), "sh", "-c", line])

    def _enter(self, host: int) -> list[str]:
        return ["nsenter", "--target", str(self._first[host]), *_NAMESPACES]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)


class _FirstProcess:
    """Context manager: a process in new namespaces, which end with it, and all that run in them too."""

    def __enter__(self) -> "_FirstProcess":
        command = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
        self._outer = subprocess.Popen(
            [*command, "sh", "-c", "echo made; exec sleep 900"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._outer.stdout is not None
        if self._outer.stdout.readline() != "made\n":
            _, errors = self._outer.communicate(timeout=20)
            raise OSError(errors.strip())
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text()
        self.number = int(children.split()[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._outer.kill()
        self._outer.communicate(timeout=20)
