"""A Ray cluster: joining it, and how many workers it has room for."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from qualiclip_metric.extras import require

LOCAL = "local"
"""Address that starts Ray on this machine, for this process."""
ROOM_SHARE = 16
"""One CPU in so many, and at least one, stays free for the tasks that read and write: without a CPU
for them a job never ends."""
TASK_CPUS = 0.5
"""CPUs of a task that reads or writes."""


def import_ray() -> Any:
    """Import ray with its data library."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # a false error at each start
    require("ray.data", "ray", "scoring on a cluster")
    return require("ray", "ray", "scoring on a cluster")


def connect(address: str = "auto", **options: Any) -> Any:
    """Join a cluster, without a dashboard and without usage reports; return the package ray.

    The address is `HOST:PORT`, `auto` for the cluster that this machine is part of (`ray start`),
    or `local` to start Ray here; `options` are those of `ray.init`. Raises ImportError if ray is
    not installed, ConnectionError if there is no cluster at the address.
    """
    ray = import_ray()
    if address == LOCAL:
        options.setdefault("include_dashboard", False)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError) as err:
        raise ConnectionError(
            f"no Ray cluster at {address} ({err}); `ray start --head` starts one here, `--ray "
            f"{LOCAL}` one for this command alone"
        ) from err
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    if hasattr(context, "print_on_execution_start"):
        context.print_on_execution_start = False
    # a node that goes away while its workers start must not end the job
    if hasattr(context, "max_consecutive_actor_init_deaths"):
        context.max_consecutive_actor_init_deaths = 16
    return ray


def alive_nodes(ray: Any) -> list[dict[str, float]]:
    """Resources of each node of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def pool_size(nodes: Sequence[Mapping[str, float]], cpus_per_worker: int, gpu: bool) -> int:
    """Count the workers that fit beside the tasks that read and write; ValueError if none does.

    A worker has a GPU, or so many cores of one node.
    """
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    room = max(1, sum(cpus) // ROOM_SHARE)
    if gpu:
        workers = sum(int(node.get("GPU", 0)) for node in nodes) if sum(cpus) >= room else 0
    else:
        on_nodes = sum(count // cpus_per_worker for count in cpus)
        workers = min(on_nodes, (sum(cpus) - room) // cpus_per_worker)
    if workers < 1:
        needed = "1 GPU" if gpu else f"{cpus_per_worker} CPUs on one node"
        raise ValueError(
            f"no worker fits: it takes {needed} and {room} CPU for the tasks that read and write, "
            f"and the cluster has {len(cpus)} nodes with CPUs {', '.join(map(str, cpus)) or '-'}; "
            "take fewer CPUs per worker (--cpus-per-worker), add a node, or say how many workers "
            "there will be (--ray-workers) where the cluster grows by itself"
        )
    return workers


def waiting_text(ray: Any, task: str) -> str:
    """Message about a stalled job: CPUs and GPUs of the cluster, and how many are free."""
    total, free = ray.cluster_resources(), ray.available_resources()
    parts = [
        f"{free.get(k, 0):g} of {total.get(k, 0):g} {k}s" for k in ("CPU", "GPU") if k in total
    ]
    return (
        f"{task}: nothing was finished for a while; free are {', '.join(parts) or 'no CPUs'}. "
        "Where none are, another job holds them: `ray status` tells"
    )
