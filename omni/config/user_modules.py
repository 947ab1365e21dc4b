"""Load modules of a user's own, such as that of a class in a recipe; errors name the file and line of a mistake."""

import importlib
import importlib.util
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

_PREFIX = "omni_user_"  # of the names of modules that are loaded from files


class _Source(SourceFileLoader):
    """Runs what is in the file itself: compiled code in a `__pycache__` next to it may say something else."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_file(file: Path) -> ModuleType:
    """Return the module in a Python file; a process runs it once.

    Raises:
        ValueError: something went wrong while it was run; the message names the line.
    """
    name = f"{_PREFIX}{file.resolve().as_posix().replace('/', '_').removesuffix('.py')}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file, loader=_Source(name, str(file.absolute())))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # registered first, so that instances can be pickled for data-loading workers
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[name]  # or the next attempt would take the half that was loaded
            if isinstance(error, Exception):
                raise ValueError(what_went_wrong(error)) from error
            raise
    return sys.modules[name]


def load_module(name: str) -> ModuleType:
    """Return the module `package.module`.

    Raises:
        ModuleNotFoundError: there is no such module.
        ValueError: something went wrong while it was run; the message names file and line.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the code of a user raises while it is imported
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise
        raise ValueError(what_went_wrong(error)) from error  # of something that the module itself imports, too


def place_free_name(module_name: str) -> str:
    """Return the name of a module without the folder or package that it lies in, so that moving its file keeps it.

    A module that runs as a script or was loaded from a file has the name of that file.
    """
    if module_name.startswith(_PREFIX) or module_name in ("__main__", "__mp_main__"):
        file = vars(sys.modules[module_name]).get("__file__")  # None where code is typed in
        if file is not None:
            return Path(file).stem
    return module_name.rpartition(".")[2]


def what_went_wrong(error: Exception) -> str:
    """Return `FILE, line N: NameError: ...`, with the last line that was reached in the folder of the user's module."""
    if isinstance(error, SyntaxError) and error.filename:
        file, line, reason = error.filename, error.lineno, error.msg
    else:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith("<frozen") and frame.filename not in (__file__, importlib.__file__)
        ]
        near = [frame for frame in frames if Path(frame.filename).parent == Path(frames[0].filename).parent]
        file, line, reason = (near[-1].filename, near[-1].lineno, str(error)) if near else (None, None, str(error))
    place = f"{file}, line {line}: " if line else f"{file}: " if file else ""
    return f"{place}{type(error).__name__}: {reason}"
