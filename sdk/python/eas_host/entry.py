"""What kind of program is ``processor_entry``? Decided by reading it, before anything of it runs.

A *script* is executed as ``python app.py`` would, with ``__name__ == "__main__"``, and calls ``run()`` of an
``allspark`` processor by itself. A *module* is imported, and the host makes an object of a class in it.

The rules, in this order:

1. ``app.py:Class`` in service.json: a module, and that class.
2. It defines a subclass of ``eas_sdk.Processor`` and calls an allspark processor's ``run()``: both, an error.
3. It defines a subclass of ``eas_sdk.Processor``: a module.
4. Executing it would call ``.run()`` of something: a script. "Would call" means: at module level or under
   ``if __name__ == "__main__":``, directly or in functions of the file that are called from there.
5. It defines no class, and it has such an ``if`` or imports allspark: a script (what it calls is elsewhere).
6. Else a module, whose classes are looked at once it is imported.

A module's class is the only subclass of ``eas_sdk.Processor`` or ``allspark.BaseProcessor`` defined in it of
which no other subclass is defined there: a common base doesn't count. An ``allspark`` class so found is made
without arguments and run, as if the file had ended in ``Class().run()``.
"""

from __future__ import annotations

import ast
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Union

_SCRIPT, _MODULE = "script", "module"
_NOT_A_PROCESSOR = frozenset(("asyncio", "eas_sdk", "subprocess"))
"""Modules whose ``run`` is not a processor's."""


Functions = Dict[str, Union[ast.FunctionDef, ast.AsyncFunctionDef]]


class EntryError(Exception):
    """The entry is no processor, or can't be told to be one; the text says what was found."""


class Class(NamedTuple):
    """A class statement of the entry."""

    name: str
    line: int
    bases: List[str]  # dotted, import aliases resolved


class Facts(NamedTuple):
    """What matters of an entry."""

    classes: List[Class]
    runs: List[int]  # lines of reachable calls of .run()
    has_main: bool
    imports_allspark: bool

    def derived(self, base: str) -> List[Class]:
        """The classes that derive from ``base``, directly or over others of the file."""
        names = {base}
        found: List[Class] = []
        for each in self.classes:
            if names.intersection(each.bases):
                names.add(each.name)
                found.append(each)
        return found

    def describe(self) -> str:
        """What was found, for a person."""
        parts = [
            f"class {each.name} (line {each.line}, of {', '.join(each.bases) or 'nothing'})"
            for each in self.classes
        ]
        parts += [f"a call of run() (line {line})" for line in self.runs]
        return "; ".join(parts) or "no class and no call of run()"


def is_script(source: bytes, path: str, wanted: Optional[str]) -> bool:
    """Whether the entry is a script; see the rules above.

    Args:
        source: the file's bytes.
        path: its path, for messages.
        wanted: the class that service.json names, or None.

    Raises:
        EntryError: rule 2.
        SyntaxError: it isn't Python; ``ValueError``: nor text.
    """
    return wanted is None and kind_of(read(ast.parse(source, path))) == _SCRIPT


def describe(source: bytes) -> str:
    """What is in a file that is known to be valid, for a person."""
    return read(ast.parse(source)).describe()


def kind_of(facts: Facts) -> str:
    """Rules 2 to 6."""
    native = facts.derived("eas_sdk.Processor")
    spark = facts.derived("allspark.BaseProcessor")
    if native and (spark or (facts.runs and facts.imports_allspark)):
        raise EntryError(
            f"it is both a native processor and an allspark one: {facts.describe()}; "
            "keep one, or name the class as app.py:Class"
        )
    if native:
        return _MODULE
    if facts.runs:
        return _SCRIPT
    return _SCRIPT if not facts.classes and (facts.has_main or facts.imports_allspark) else _MODULE


def read(tree: ast.Module) -> Facts:
    """The facts of a parsed entry."""
    names = _imported(tree)
    functions: Functions = {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    executed = list(_executed(tree.body, functions, set()))
    return Facts(
        [
            Class(node.name, node.lineno, [_dotted(base, names) for base in node.bases])
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
        ],
        sorted({call.lineno for call in executed if _is_run(call, names)}),
        any(isinstance(node, ast.If) and _is_main_test(node.test) for node in ast.walk(tree)),
        any(name.split(".")[0] == "allspark" for name in names.values()),
    )


def _imported(tree: ast.Module) -> Dict[str, str]:
    """What each imported name stands for, anywhere in the file: ``import a.b as c`` gives c: a.b."""
    names: Dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                # "*" is kept as what it brings from the two modules that matter
                star = {"allspark": "BaseProcessor", "eas_sdk": "Processor"}.get(node.module, "*")
                name = star if alias.name == "*" else alias.name
                names[alias.asname or name] = f"{node.module}.{name}"
    return {name: _canonical(meaning) for name, meaning in names.items()}


def _canonical(name: str) -> str:
    """The public name of a base class that was imported from where it is defined."""
    return {
        "eas_sdk.processor.Processor": "eas_sdk.Processor",
        "allspark.processor.BaseProcessor": "allspark.BaseProcessor",
    }.get(name, name)


def _dotted(node: ast.expr, names: Dict[str, str]) -> str:
    """An expression as a dotted name with imports resolved; "?" for what is none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return _canonical(f"{_dotted(node.value, names)}.{node.attr}")
    return "?"


def _executed(body: List[ast.stmt], functions: Functions, seen: Set[str]) -> Iterator[ast.Call]:
    """The calls in statements and in the file's functions that they call; not in bodies merely defined."""
    for node in _walk_statements(body):
        if not isinstance(node, ast.Call):
            continue
        yield node
        name = _dotted(node.func, {}).rpartition(".")[2]
        if name in functions and name not in seen:
            seen.add(name)
            yield from _executed(functions[name].body, functions, seen)


def _walk_statements(body: List[ast.stmt]) -> Iterator[ast.AST]:
    """Every node below ``body`` that isn't inside a definition."""
    waiting: List[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _is_run(call: ast.Call, names: Dict[str, str]) -> bool:
    """Whether it is ``something.run(...)`` that may be a processor."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "run":
        return False
    return _dotted(call.func.value, names).split(".")[0] not in _NOT_A_PROCESSOR


def _is_main_test(test: ast.expr) -> bool:
    """Whether it contains ``__name__ == "__main__"``, either way round."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and len(node.comparators) == 1:
            sides = {_literal(node.left), _literal(node.comparators[0])}
            if sides == {"__name__", "'__main__'"}:
                return True
    return False


def _literal(node: ast.expr) -> str:
    """A name as it is, a constant as its repr."""
    if isinstance(node, ast.Name):
        return node.id
    return repr(node.value) if isinstance(node, ast.Constant) else ""
