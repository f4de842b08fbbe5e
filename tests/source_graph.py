"""The package's source as a graph: which module imports which, read without running any of it.

A `Source` is a mapping of dotted module names to their text, so that a check can be pointed at the
real package or at a small made-up one that breaks the rule.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "runware_ws"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

Source = Mapping[str, str]


@dataclass(frozen=True)
class Import:
    """One imported name: `module` is what is loaded, `name` the full dotted name it stands for."""

    module: str
    name: str
    alias: str
    line: int


def read_package() -> dict[str, str]:
    """The text of every module of the package, an `__init__.py` under its package's name."""
    source = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        source[".".join(parts)] = path.read_text(encoding="utf-8")
    return source


def imports(source: Source, module: str) -> list[Import]:
    """What a module imports at run time, at its top or in a function."""
    found: list[Import] = []
    for node in _runtime_nodes(ast.parse(source[module])):
        if isinstance(node, ast.Import):
            for item in node.names:
                alias = item.asname or item.name.partition(".")[0]
                name = item.name if item.asname else alias
                found.append(Import(item.name, name, alias, node.lineno))
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, module, node)
            for item in node.names:
                name = f"{base}.{item.name}"
                loaded = name if name in source else base
                found.append(Import(loaded, name, item.asname or item.name, node.lineno))
    return found


def graph(source: Source) -> dict[str, set[str]]:
    """The imports between the package's own modules."""
    return {
        module: {found.module for found in imports(source, module) if found.module in source}
        for module in source
    }


def reachable(edges: Mapping[str, set[str]], roots: set[str]) -> set[str]:
    """The roots and all that they import, directly or not."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(edges[module])
    return seen


def names_used(source: Source, module: str) -> Iterator[tuple[str, int]]:
    """Every name that is read, with its line: in full, as its import gives it, or as a builtin."""
    aliases = {found.alias: found.name for found in imports(source, module)}
    for node in _runtime_nodes(ast.parse(source[module])):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield aliases.get(node.id, node.id), node.lineno
        elif isinstance(node, ast.Attribute):
            chain = _chain(node)
            if chain and chain[0] in aliases:
                yield ".".join([aliases[chain[0]], *chain[1:]]), node.lineno
    for found in imports(source, module):
        yield found.name, found.line


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those which only a type checker sees."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.If) and _is_type_checking(node.test) and child in node.body:
            continue
        yield from _runtime_nodes(child)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _absolute(source: Source, module: str, node: ast.ImportFrom) -> str:
    """The module that a `from … import` names, with its leading dots resolved."""
    if not node.level:
        return node.module or ""
    is_package = any(name.startswith(f"{module}.") for name in source) or module == PACKAGE
    parts = module.split(".")
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, node.module] if node.module else base)


def _chain(node: ast.expr) -> list[str]:
    """`a.b.c` as a list, or nothing if it does not start with a name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (start := _chain(node.value)):
        return [*start, node.attr]
    return []
