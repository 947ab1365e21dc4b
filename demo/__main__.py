"""`python -m demo --model DIR`: chat with a trained model in the browser."""

import argparse
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from demo.serving.access import QUERY, choose_token
from demo.serving.address import check_port, shown_address
from demo.serving.private_folder import private_folder
from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.model_folder import check_model_folder

if TYPE_CHECKING:
    from demo.chat.app import Parts


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C; return the exit status (2: the arguments cannot be used)."""
    started = time.perf_counter()
    options = _parser().parse_args(arguments)
    try:
        token = choose_token(options.host, options.token, is_public=options.share == "on")
        check_model_folder(options.model, "--model")
        if options.compare is not None:
            check_model_folder(options.compare, "--compare")
        if options.gallery is not None and options.space is None:
            raise ValueError("--gallery is for retrieval in a joint space: give its folder with --space")
        check_port(options.host, options.port)
        with private_folder("omni-chat") as folder:
            parts = _load_parts(options, folder)
            try:
                _serve(parts, options, token, started)
            finally:
                parts.close()
    except KeyboardInterrupt:
        pass
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\nstopped")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Chat with a trained model in the browser.")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of a saved model")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="folder of another model to ask the same questions")
    parser.add_argument(
        "--space", type=Path, metavar="DIR", help="folder of a joint space, to retrieve and to classify in"
    )
    parser.add_argument(
        "--gallery", type=Path, metavar="DATA", help="what to retrieve from: a folder of media or a data set"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 = every network (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--share",
        choices=("on", "off"),
        default="off",
        help="on = a public link through Gradio's tunnel (default: off)",
    )
    parser.add_argument(
        "--token",
        help="visitors must know it; where others can reach the page (--host, --share) and none is given, one is made "
        "and printed",
    )
    parser.add_argument(
        "--public_name",
        action="append",
        default=[],
        metavar="NAME",
        help="a further host name by which the page is reached, such as that of a proxy; may be repeated",
    )
    parser.add_argument("--trust_code", action="store_true", help=TRUST_CODE_HELP)
    return parser


def _load_parts(options: argparse.Namespace, folder: Path) -> "Parts":
    """Return what the page is made of; its uploads lie in `folder`.

    The models are read from disk while Gradio is imported: each takes seconds.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read while gradio is imported
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # where Gradio puts uploads
    with ThreadPoolExecutor(1) as pool:
        importing = pool.submit(__import__, "gradio")
        from demo.chat.loading import load, load_space

        loaded = load(options.model, options.trust_code)
        compared = load(options.compare, options.trust_code) if options.compare else None
        space = load_space(options.space, options.trust_code) if options.space else None
        importing.result()
    from demo.chat.app import Parts

    return Parts(loaded, folder, model_folder=options.model, compared=compared, space=space, gallery=options.gallery)


def _serve(parts: "Parts", options: argparse.Namespace, token: str | None, started: float) -> None:
    from demo.chat.launching import launch

    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a script that starts jobs has SIGINT ignored
        signal.signal(number, lambda number, frame: stop.set())
    page, app, public_url = launch(
        parts, options.host, options.port, token=token, names=options.public_name, is_shared=options.share == "on"
    )
    try:
        address = shown_address(options.host, options.port)
        key = f"/?{QUERY}={token}" if token else ""
        print(f"omni is ready after {time.perf_counter() - started:.1f} s: http://{address}{key}")
        if public_url:
            app.control.allow(urlsplit(public_url).hostname or "")
            print(f"it can be reached from anywhere at {public_url}{key}")
        print("press Ctrl-C to stop", flush=True)
        while not stop.wait(1.0):  # with a time limit, so that Ctrl-C is seen at once on every system
            pass
    finally:
        page.close(verbose=False)


if __name__ == "__main__":
    sys.exit(main())
