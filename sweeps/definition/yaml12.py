"""YAML as people expect it: the core schema of YAML 1.2, read by PyYAML's safe loader.

PyYAML follows YAML 1.1, where ``1e-3`` is text, ``no`` is false, ``1:30`` is ninety, ``010`` is
eight, and a key given twice silently keeps the last value.
"""

import itertools
import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from sweeps.errors import shown

YamlError = yaml.YAMLError
MOST_VALUES = 100_000
"""With aliases, a few lines could stand for more values than fit into memory."""


class Loader(yaml.SafeLoader):
    """A safe loader with the scalars of YAML 1.2, whose keys are text and not repeated."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  (PyYAML's own shape)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.deep_construct = True  # refuses a value that contains itself

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal(f"a key must be text, got {shown(key)}", key_node)
            if key == "<<":  # in YAML 1.1 alone, it merges a mapping into this one
                raise _refusal("merge keys (<<) are not read; write the keys out here", key_node)
            if key in seen:
                raise _refusal(f"the key {key!r} is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _integer(loader: Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    value = int(text[:_DIGITS], 0 if text.startswith(("0o", "0x")) else 10)
    if len(text) > _DIGITS or abs(value) >= 2**63:
        raise _refusal(f"a whole number must lie within 64 bits, got {text:.25}", node)
    return value


def _unknown_tag(loader: Loader, node: yaml.Node) -> None:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    raise _refusal(f"the tag {tag} is not allowed, only plain values are", node)


def _refusal(problem: str, node: yaml.Node) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


_DIGITS = 24  # what 64 bits need, in octal
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
for _name, (_pattern, _first) in _SCALARS.items():
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}",
        re.compile(f"^(?:{_pattern})$"),
        ["" if c == "\0" else c for c in _first],
    )
Loader.add_constructor("tag:yaml.org,2002:int", _integer)
Loader.add_constructor(None, _unknown_tag)


def is_text(text: str) -> bool:
    """Whether a word without quotes is read as text, and not as a number, null or a truth value."""
    return not any(re.fullmatch(pattern, text) for pattern, _ in _SCALARS.values())


def load(text: str) -> Any:
    """Read one YAML document of plain values.

    Raises:
        YamlError: the text is not YAML, uses a tag such as ``!!python/object``, or repeats a key.
    """
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    finally:
        loader.dispose()


def _check_size(root: yaml.Node) -> None:
    """Refuse aliases that stand for more values than anybody can mean, before they are expanded."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is None:
            sizes[id(node)] = 0  # of one that contains itself, which is refused later
            parts = node.value if isinstance(node, yaml.CollectionNode) else ()
            inner = itertools.chain(*parts) if isinstance(node, yaml.MappingNode) else parts
            known = sizes[id(node)] = 1 + sum(map(size, inner))
        return known

    found = size(root)
    if found > MOST_VALUES and found > len(sizes):
        raise YamlError(
            f"its aliases (*name) stand for {found:,} values, and at most {MOST_VALUES:,} are read"
        )


def explain(error: yaml.YAMLError) -> str:
    """One line: what is wrong and where."""
    if isinstance(error, ReaderError):
        return f"character {error.position + 1}: {chr(error.character)!r} is not allowed in YAML"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    mark = error.problem_mark
    problem = str(error.problem).replace(
        "found unconstructable recursive node", "a value must not contain itself"
    )
    what = f"{error.context}, {problem}" if error.context else problem
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}"
