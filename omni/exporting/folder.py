"""The folder of an export: written whole or not at all, and never in place of something else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omni.runtime.checksums import CHECKSUMS, listed_files, write_checksums
from omni.runtime.files import refuse_foreign, replace_directory
from omni.runtime.model_folder import CONFIG_FILE


@contextmanager
def exporting(output: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends without an error it is put at `output`, with checksums.

    Raises:
        ValueError: `output` holds something else than an earlier export, which replacing it would delete.
    """
    listed = listed_files(output) - {CONFIG_FILE}  # a model of ours has checksums too
    refuse_foreign(output, {CHECKSUMS, *(name.partition("/")[0] for name in listed)})
    with replace_directory(output) as temporary:
        yield temporary
        write_checksums(temporary)
