"""`python -m demo.server --model DIR`: a trained model behind the interface of OpenAI's clients."""

import argparse
import os
import signal
import socket
import sys
import time
from pathlib import Path

from demo.server.limits import Limits
from demo.serving.access import choose_token
from demo.serving.address import listen, shown_address
from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.model_folder import check_model_folder


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit status (2: the arguments cannot be used)."""
    started = time.perf_counter()
    options = _parser().parse_args(arguments)
    try:
        limits = Limits.of_options(options)
        if (options.engine is None) != (options.engine_url is None):
            raise ValueError("--engine and --engine_url go together, such as --engine vllm --engine_url URL")
        token = choose_token(options.host, options.token)
        check_model_folder(options.model, "--model")
        if options.space is not None:
            check_model_folder(options.space, "--space", "joint space")
        with listen(options.host, options.port) as bound:
            return _serve(options, limits, token, bound, started)
    except KeyboardInterrupt:
        return 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.server",
        description="Serve a trained model, or a joint space, to any client of OpenAI's interface (docs/serving.md).",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of a model or a joint space")
    parser.add_argument(
        "--space", type=Path, metavar="DIR", help="folder of a joint space that embeds, next to --model"
    )
    parser.add_argument("--name", help="name of the model for clients (default: that of its folder or run)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 = every network (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port; 0 = any that is free (default: %(default)s)")
    parser.add_argument(
        "--token", help="what clients must send; with another host than this machine a random one is made and printed"
    )
    parser.add_argument(
        "--public_name",
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which clients reach the server, such as that of a proxy; may be repeated",
    )
    parser.add_argument(
        "--allow_host",
        action="append",
        default=[],
        metavar="HOST",
        help="host that media may be fetched from (default: none); may be repeated",
    )
    parser.add_argument(
        "--engine",
        choices=["vllm"],
        help="what generates instead of this process, at --engine_url (docs/deployment.md)",
    )
    parser.add_argument("--engine_url", metavar="URL", help="address of the engine, such as http://127.0.0.1:8001")
    parser.add_argument("--engine_token", help="what the engine wants to be sent (default: $VLLM_API_KEY, if set)")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_CODE_HELP)
    Limits.add_options(parser)
    return parser


def _serve(options: argparse.Namespace, limits: Limits, token: str | None, bound: socket.socket, started: float) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait by spinning slow each other down
    # Read by the loaders of media in this process, which have no other way to learn of the options.
    os.environ["OMNI_MAX_IMAGE_PIXELS"] = str(int(limits.max_megapixels * 1e6))
    os.environ["OMNI_MAX_MEDIA_SECONDS"] = f"{limits.max_seconds:g}"
    import uvicorn

    from demo.server.app import create_app
    from demo.server.fetching import Fetcher
    from demo.server.served import EngineAddress, load_served

    engine_token = options.engine_token or os.environ.get("VLLM_API_KEY")
    engine = None if options.engine_url is None else EngineAddress(options.engine_url, engine_token)
    served = load_served(options.model, options.space, options.name, options.trust_code, limits, engine)
    fetcher = Fetcher(options.allow_host, limits.medium_bytes)
    app = create_app(served, limits, token, options.public_name, fetcher)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who a client claims to be is nobody's business here
        timeout_graceful_shutdown=5,
        limit_concurrency=8 * (limits.max_running + limits.max_waiting),  # connections: reading costs little
        backlog=1024,
    )
    port = bound.getsockname()[1]
    names = ", ".join(one.name for one in served)
    address = shown_address(options.host, port)
    print(f"omni serves {names} after {time.perf_counter() - started:.1f} s: http://{address}/v1")
    if token is not None:
        print(f"clients must send the token {token}" if options.token is None else "clients must send the token")
    print("press Ctrl-C to stop", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn ends by both, then lets them do what they did before
        signal.signal(number, lambda number, frame: None)
    bound.listen(config.backlog)
    uvicorn.Server(config).run(sockets=[bound])
    print("\nstopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
