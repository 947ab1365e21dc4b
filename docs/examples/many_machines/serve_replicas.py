"""Serve a model with several replicas behind one address, on one or many machines, by Ray Serve.

    python serve_replicas.py MODEL_DIR --replicas 2 --port 8000

Each replica is what `python -m demo.server` is, with a model of its own; requests go to the one that has the fewest.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from ray import serve

from demo.server.app import create_app
from demo.server.limits import Limits
from demo.server.served import load_served


def replicas(folder: Path, count: int, token: str | None, cpus: float, gpus: float) -> serve.Application:
    """Return the application of Ray Serve."""

    def build() -> Any:  # in the process of the replica
        limits = Limits()
        return create_app(load_served(folder, None, None, False, limits), limits, token)

    @serve.deployment(
        num_replicas=count,
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
        max_ongoing_requests=Limits().max_running + Limits().max_waiting,
    )
    @serve.ingress(build)
    class Replica:
        pass

    return Replica.bind()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of the model; a path that every machine has")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--cpus", type=float, default=1, help="CPU cores of each replica")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each replica")
    options = parser.parse_args()
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    app = replicas(options.model.absolute(), options.replicas, os.environ.get("OMNI_TOKEN"), options.cpus, options.gpus)
    serve.run(app, blocking=True)


if __name__ == "__main__":
    main()
