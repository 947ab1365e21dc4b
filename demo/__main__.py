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

from demo.serving.address import check_port, shown_address
from omni.config.trust import TRUST_CODE_HELP
from omni.runtime.model_folder import check_model_folder

if TYPE_CHECKING:
    import gradio as gr


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C; return the exit status (2: the arguments cannot be used)."""
    started = time.perf_counter()
    options = _parser().parse_args(arguments)
    try:
        check_model_folder(options.model, "--model")
        check_port(options.host, options.port)
        page, allowed = _load_page(options.model, options.trust_code)
        _serve(page, options, allowed, started)
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
    parser.add_argument("--trust_code", action="store_true", help=TRUST_CODE_HELP)
    return parser


def _load_page(directory: Path, trust_code: bool) -> tuple["gr.Blocks", list[str]]:
    """Return the page over the model in `directory`, and the folders of its examples.

    The model is read from disk while Gradio is imported: each takes seconds.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read while gradio is imported
    with ThreadPoolExecutor(1) as pool:
        importing = pool.submit(__import__, "gradio")
        from demo.chat.loading import load

        loaded = load(directory, trust_code)
        importing.result()
    from demo.chat.app import build_page
    from demo.chat.examples import starter_examples

    examples = starter_examples(list(loaded.uploads.by_modality))
    page = build_page(loaded.model, loaded.uploads, loaded.llm, loaded.licence, examples)
    return page, sorted({str(Path(file).parent) for example in examples for file in example.files})


def _serve(page: "gr.Blocks", options: argparse.Namespace, allowed_paths: list[str], started: float) -> None:
    from demo.chat import appearance

    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a script that starts jobs has SIGINT ignored
        signal.signal(number, lambda number, frame: stop.set())
    _, _, public_url = page.launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share == "on",
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        allowed_paths=allowed_paths,
        max_file_size="500mb",
        theme=appearance.theme(),
        css=appearance.CSS,
        head=appearance.HEAD,
    )
    try:
        address = shown_address(options.host, options.port)
        print(f"omni is ready after {time.perf_counter() - started:.1f} s: http://{address}")
        if public_url:
            print(f"anyone can reach it at {public_url}")
        print("press Ctrl-C to stop", flush=True)
        while not stop.wait(1.0):  # with a time limit, so that Ctrl-C is seen at once on every system
            pass
    finally:
        page.close(verbose=False)


if __name__ == "__main__":
    sys.exit(main())
