"""What fits onto a cluster, machine by machine."""

import pytest

from layered import UserError
from pipeline.pool_spec import PoolSpec
from pipeline.reservations import Machines, check_reservations


def generators(
    workers: int, cpus: float = 1.0, gpus: float = 0.0, min_workers: int | None = None
) -> tuple[PoolSpec, PoolSpec]:
    return PoolSpec("layer_flux", {}, workers, cpus, gpus, min_workers), PoolSpec("light", {}, 1, 0.0)


def test_more_reserved_than_there_is_ends_the_run_before_it_starts() -> None:
    specs = generators(4, gpus=1.0)
    with pytest.raises(UserError, match=r"reserves 4 CPUs \(layer_flux 4\), but the cluster has 2"):
        check_reservations(specs, Machines([{"CPU": 2.0, "GPU": 8.0}]))
    with pytest.raises(UserError, match="reserves 4 GPUs"):
        check_reservations(specs, Machines([{"CPU": 8.0}]))
    check_reservations(specs, Machines([{"CPU": 4.0, "GPU": 4.0}]))


def test_enough_in_all_is_not_enough_when_no_machine_has_it() -> None:
    four_of_two = Machines([{"CPU": 8.0, "GPU": 2.0}] * 4)
    check_reservations(generators(4, gpus=2.0), four_of_two)
    with pytest.raises(UserError, match="4 GPUs on one machine, and the cluster has room for 0 of 2"):
        check_reservations(generators(2, gpus=4.0), four_of_two)
    with pytest.raises(UserError, match=r"room for 1 of 2"):
        check_reservations(generators(2, cpus=5.0), Machines([{"CPU": 8.0}, {"CPU": 4.0}]))


def test_a_part_of_a_gpu_is_a_part_of_one() -> None:
    check_reservations(generators(4, cpus=0, gpus=0.5), Machines([{"GPU": 2.0}]))
    with pytest.raises(UserError, match="room for 2 of 3"):
        check_reservations(generators(3, cpus=0, gpus=0.6), Machines([{"GPU": 2.0}]))


def test_what_shares_a_gpu_is_counted_with_it() -> None:
    light = PoolSpec("light", {}, 2, 0.0, 0.5)
    with pytest.raises(UserError, match=r"reserves 2 GPUs \(layer_flux 1, light 1\), but the cluster has 1"):
        check_reservations([generators(1, gpus=1.0)[0], light], Machines([{"CPU": 1.0, "GPU": 1.0}]))


def test_a_run_may_begin_with_fewer_and_count_on_machines_that_come() -> None:
    one = [{"CPU": 4.0, "GPU": 1.0}]
    with pytest.raises(UserError, match="reserves 8"):
        check_reservations(generators(8, gpus=1.0), Machines(one))
    check_reservations(generators(8, gpus=1.0, min_workers=1), Machines(one))
    check_reservations(generators(8, gpus=1.0), Machines(one, [({"CPU": 8.0, "GPU": 1.0}, 7)]))
    check_reservations(generators(8, gpus=1.0), Machines([{"CPU": 2.0}], [({"CPU": 8.0, "GPU": 1.0}, -1)]))
    with pytest.raises(UserError, match="has 7"):
        check_reservations(generators(8, gpus=1.0), Machines([{"CPU": 4.0}], [({"CPU": 8.0, "GPU": 1.0}, 7)]))
