"""How the processes of several machines find each other, even after some of them were started again.

Left to itself torch gets two things wrong here:

- The store of `torchrun` and `accelerate launch` outlives the processes. Processes that are started again find in it
  the addresses of dead ones. `TORCHELASTIC_RESTART_COUNT` does not tell attempts apart: each machine counts for itself,
  and counts only the deaths of its own processes.
- gloo gives the others the address that this machine's own name stands for. On Debian and Ubuntu that is 127.0.1.1,
  and 127.0.0.1 where the name is not known: the others then look for it on themselves.
"""

import hashlib
import ipaddress
import os
import socket
import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import psutil
import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore  # torch.distributed takes them from here

_GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
_TIMEOUT = 300.0  # seconds; the launchers have met already, so it is only for differences in how fast processes start
_BETWEEN_LOOKS = 0.05  # seconds


def meet_other_processes() -> None:
    """Start torch.distributed where the launcher's own way would not do: on several machines, and after a restart.

    Does nothing otherwise, and if it is started already. `GLOO_SOCKET_IFNAME` is set unless the user did.

    Raises:
        TimeoutError: not all processes came within five minutes; says which are missing.
    """
    if "TORCHELASTIC_RESTART_COUNT" not in os.environ or dist.is_initialized():
        return  # not started by torch's elastic launcher, which accelerate's is made of
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    several_machines = int(os.environ["LOCAL_WORLD_SIZE"]) < world_size
    if not several_machines and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        return
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    owns_store = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = TCPStore(host, port, is_master=owns_store, timeout=timedelta(seconds=_TIMEOUT), multi_tenant=True)
    here = _address_towards(host)
    name, addresses = agree_on_name(store, rank, world_size, here, _TIMEOUT)
    if several_machines and _GLOO_INTERFACE not in os.environ:
        interface = interface_of(_outward_address(here, addresses))
        if interface is not None:
            os.environ[_GLOO_INTERFACE] = interface
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    backend = dist.get_default_backend_for_device(device or "cpu")
    dist.init_process_group(backend, store=PrefixStore(name, store), rank=rank, world_size=world_size)


def agree_on_name(store: Store, rank: int, world_size: int, address: str, timeout: float) -> tuple[str, list[str]]:
    """Agree with all processes of this attempt on a name, whatever earlier attempts left in `store`, and on addresses.

    Each process leaves a word that was never used before, and goes on when all have seen the same words: a process
    that saw its own word cannot be of an earlier attempt, and so all words are of this one.

    Raises:
        TimeoutError: after `timeout` seconds; names the ranks that did not come.
    """
    present, seen = ([f"{what}/{index}" for index in range(world_size)] for what in ("present", "seen"))
    store.set(present[rank], f"{uuid4().hex} {address}")
    deadline = time.monotonic() + timeout
    while True:
        if store.check(present):
            words = store.multi_get(present)
            name = hashlib.sha256(b"\n".join(words)).hexdigest()
            store.set(seen[rank], name)
            if store.check(seen) and set(store.multi_get(seen)) == {name.encode()}:
                return name, [word.decode().partition(" ")[2] for word in words]
        if time.monotonic() > deadline:
            missing = [index for index in range(world_size) if not store.check([present[index]])]
            raise TimeoutError(
                f"rank {rank} waited {timeout:.0f} s for {f'ranks {missing}' if missing else 'all the others'} of "
                f"{world_size}: processes were not started, died at once, or cannot reach the machine of rank 0"
            )
        time.sleep(_BETWEEN_LOOKS)


def interface_of(address: str) -> str | None:
    """Return the network interface that has this address; None for a loopback and for an address of another machine."""
    for name, addresses in psutil.net_if_addrs().items():
        if not _is_loopback(address) and any(found.address.partition("%")[0] == address for found in addresses):
            return name
    return None


def _address_towards(host: str) -> str:
    """Return the address of this machine from which it reaches another one."""
    error = OSError(f"{host} has no address")
    for family, kind, protocol, _, place in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.connect(place)  # of a datagram socket: chooses a way, sends nothing
                return _plain(connection.getsockname()[0])
        except OSError as refused:  # such as an IPv6 address that this machine has no way to
            error = refused
    raise error


def _outward_address(here: str, addresses: Sequence[str]) -> str:
    """Return `here`, or, if that is a loopback because the store is here, the address that leads to the others."""
    others = [address for address in addresses if not _is_loopback(address)]
    return _address_towards(others[0]) if _is_loopback(here) and others else here


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _plain(address: str) -> str:
    """Return an address without the zone of a link-local one, and an IPv4 address inside an IPv6 one as itself."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
