"""The code of a trainable: what identifies it, where it lies, and what it imports."""

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

HEAVY = frozenset({"lightning", "pandas", "pytorch_lightning", "ray", "scipy", "sklearn"})
HEAVY |= {"torch", "torchvision"}
"""Libraries whose import takes long, and does the same in every process."""


def code_version(module: ModuleType) -> str:
    """A checksum of a module's source, and of all of its package if it is part of one."""
    digest = hashlib.sha256()
    for file in _files(module):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def code_of(function: Any) -> str:
    """A checksum of a function's code, and of what it has taken along from around it."""
    digest = hashlib.sha256()
    for part in _parts(function, set()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def is_named(function: Any) -> ModuleType | None:
    """The module that has a function by its name, so that any process can import it."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "<none>")
    found = module and getattr(module, name, None)
    return module if module and module.__name__ != "__main__" and found is function else None


def folder_of(module: ModuleType) -> Path | None:
    """The folder that a module was imported from, if it is the user's."""
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    found = getattr(top, "__file__", None) or next(iter(getattr(top, "__path__", ())), None)
    if found is None:
        return None
    folder = Path(found).parent.parent if hasattr(top, "__path__") else Path(found).parent
    ours = Path(__file__).parents[2]
    installed = {"site-packages", "dist-packages"} & set(folder.parts)
    is_ours = folder == ours and top.__name__ in ("sweeps", "trainer")
    return None if installed or is_ours else folder


def heavy_imports(module: ModuleType | None) -> tuple[str, ...]:
    """The heavy libraries that a trainable imports, anywhere in its module, by full name."""
    found: set[str] = set()
    for file in _files(module) if module else ():
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    if module is None or module.__name__ == "__main__":
        found |= HEAVY & sys.modules.keys()
    return tuple(sorted(name for name in found if name.partition(".")[0] in HEAVY))


def _files(module: ModuleType) -> list[Path]:
    """The source files of a module, or of all of its package."""
    root = sys.modules.get(module.__name__.partition(".")[0], module)
    folders = [Path(folder) for folder in getattr(root, "__path__", ())]
    if folders:
        return sorted(file for folder in folders for file in folder.rglob("*.py"))
    file = getattr(root, "__file__", None)
    return [Path(file)] if file else []


def _parts(value: Any, seen: set[int]) -> Iterable[str]:
    """What makes a function what it is, as text that is the same in every process."""
    function = inspect.unwrap(value) if callable(value) else value
    code = getattr(function, "__code__", None)
    if id(function) in seen:
        return
    seen.add(id(function))
    if code is None:
        yield _plain(value)
        if callable(value):
            yield from _parts(type(value).__call__, seen)
        for name, held in sorted(getattr(value, "__dict__", {}).items()):
            yield name
            yield from _parts(held, seen) if callable(held) else [_plain(held)]
        return
    yield from _of_code(code)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    for each in (*cells, *(function.__defaults__ or ()), function.__kwdefaults__):
        yield from _parts(each, seen) if callable(each) else [_plain(each)]


def _of_code(code: CodeType) -> Iterable[str]:
    yield f"{code.co_code!r} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        yield from _of_code(constant) if isinstance(constant, CodeType) else [repr(constant)]


def _plain(value: Any) -> str:
    """A value, if its text says all of it; else its type."""
    plain = isinstance(value, bool | int | float | str | bytes | None | list | dict | tuple)
    return repr(value) if plain else f"{type(value).__module__}.{type(value).__qualname__}"
