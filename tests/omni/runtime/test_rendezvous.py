"""Processes agree on a name for their attempt, whatever earlier attempts left, and find the way to each other."""

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from torch.distributed import HashStore

from omni.runtime.rendezvous import agree_on_name, interface_of


def meet(store: HashStore, world_size: int, late: int) -> list[tuple[str, list[str]]]:
    """What each rank gets if one of them comes later than the others."""

    def come(rank: int) -> tuple[str, list[str]]:
        time.sleep(0.3 * (rank == late))
        return agree_on_name(store, rank, world_size, f"10.0.0.{rank}", timeout=20)

    with ThreadPoolExecutor(world_size) as pool:
        return list(pool.map(come, range(world_size)))


def test_every_attempt_has_one_name_of_its_own_and_knows_all_addresses() -> None:
    store = HashStore()
    attempts = [meet(store, world_size, late) for world_size in (3, 3, 2, 3) for late in range(world_size)]
    for found in attempts:
        assert len({name for name, _ in found}) == 1
        assert found[0][1] == [f"10.0.0.{rank}" for rank in range(len(found))]
    assert len({found[0][0] for found in attempts}) == len(attempts)


def test_process_that_does_not_come_is_named() -> None:
    store = HashStore()
    with pytest.raises(TimeoutError, match=r"rank 0 waited 0 s for ranks \[1, 2\] of 3"):
        agree_on_name(store, 0, 3, "10.0.0.0", timeout=0.2)
    meet(store, 2, late=0)  # what it left does not pass for rank 1
    with pytest.raises(TimeoutError, match="rank 0 waited 0 s for all the others of 2"):
        agree_on_name(store, 0, 2, "10.0.0.0", timeout=0.2)


def test_interface_is_found_by_its_address_unless_nobody_else_can_reach_it() -> None:
    for name, addresses in psutil.net_if_addrs().items():
        for found in addresses:
            if found.family.name == "AF_INET":
                assert interface_of(found.address) == (None if found.address.startswith("127.") else name)
    assert interface_of("192.0.2.1") is None  # reserved for documentation: nobody's
