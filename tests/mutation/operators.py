"""The mistakes: every way in which one place of a syntax tree is made wrong, one place at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

Change = tuple[str, ast.AST]

_COMPARED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
_SIGNS: Final[dict[type[ast.AST], str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.And: "and",
    ast.Or: "or",
}
_OTHER_CALL: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutation:
    """The ``variant``-th mistake at the ``node``-th place of a module's tree."""

    node: int
    variant: int
    line: int
    what: str


def mutations(source: str) -> list[Mutation]:
    """Return every mutation of a module's source, in the order of its lines."""
    tree = ast.parse(source)
    skipped = _not_behaviour(tree)
    found = [
        Mutation(index, variant, getattr(node, "lineno", 0), what)
        for index, node in enumerate(ast.walk(tree))
        if node not in skipped
        for variant, (what, _) in enumerate(_changes(node))
    ]
    return sorted(found, key=lambda mutation: (mutation.line, mutation.node, mutation.variant))


def mutant(source: str, mutation: Mutation) -> str:
    """Return the source with one mutation."""
    tree = ast.parse(source)
    node = list(ast.walk(tree))[mutation.node]
    _, replacement = list(_changes(node))[mutation.variant]
    changed = ast.fix_missing_locations(_Replace(node, replacement).visit(tree))
    return ast.unparse(changed) + "\n"


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, replacement: ast.AST) -> None:
        self._node, self._replacement = node, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        """Put the replacement where the node was."""
        return self._replacement if node is self._node else self.generic_visit(node)


def _not_behaviour(tree: ast.AST) -> set[ast.AST]:
    """Types and decorators say what is, not what is done."""
    outside: list[ast.AST] = []
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                outside += [*node.decorator_list, *([node.returns] if node.returns else [])]
            case ast.ClassDef():
                outside += [*node.decorator_list, *node.keywords]
            case ast.arg(annotation=annotation) | ast.AnnAssign(annotation=annotation) if annotation is not None:
                outside.append(annotation)
            case _:
                pass
    return {inner for node in outside for inner in ast.walk(node)}


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield _signs(node.op, other), _with(node, op=other)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _COMPUTED:
            computed = _COMPUTED[type(node.op)]()
            yield _signs(node.op, computed), _with(node, op=computed)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"`{_text(node)}` without its sign", node.operand
        case ast.Constant():
            yield from _constant(node)
        case ast.Call():
            yield from _called(node)
        case ast.If() | ast.IfExp() | ast.While() if _is_plain(node.test):
            yield f"`if {_text(node.test)}` turned round", _with(node, test=_not(node.test))
        case ast.Dict():
            yield from _dict(node)
        case ast.Return(value=value) if value is not None and not _is_nothing(value):
            yield f"`{_text(node)}` returns None", _with(node, value=ast.Constant(None))
        case ast.stmt() if _can_be_left_out(node):
            yield f"`{_text(node)}` left out", ast.Pass()
        case _:
            pass


def _compared(node: ast.Compare) -> Iterator[Change]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARED[type(operator)]:
            ops = [*node.ops]
            ops[index] = other()
            yield f"{_signs(operator, ops[index])} in `{_text(node)}`", _with(node, ops=ops)


def _constant(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield f"{node.value} is {not node.value}", ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield f"{node.value} is {node.value + 1}", ast.Constant(node.value + 1)


def _called(node: ast.Call) -> Iterator[Change]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in _OTHER_CALL:
        yield f"{name} is {_OTHER_CALL[name]}", _with(node, func=ast.Name(_OTHER_CALL[name], ast.Load()))
    if name != "Decimal" or len(node.args) != 1:
        return
    only = node.args[0]
    if isinstance(only, ast.Constant) and isinstance(only.value, str):
        try:
            more = str(Decimal(only.value) + 1)
        except InvalidOperation:
            return
        yield f"{only.value} is {more}", _with(node, args=[ast.Constant(more)])


def _dict(node: ast.Dict) -> Iterator[Change]:
    """A table lacks one of its entries."""
    for index, key in enumerate(node.keys):
        what = _text(node.values[index] if key is None else key)
        keys, values = [*node.keys], [*node.values]
        del keys[index], values[index]
        yield f"the table lacks `{what}`", _with(node, keys=keys, values=values)


def _can_be_left_out(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.Continue() | ast.Break() | ast.AugAssign():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.Delete():
            return True
        case _:
            return False


def _is_plain(test: ast.expr) -> bool:
    """True for a condition that no other mistake turns round."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp)


def _is_nothing(value: ast.expr) -> bool:
    """True for what a caller that asks "is there any?" cannot tell from ``None``."""
    match value:
        case ast.Constant():
            return not value.value
        case ast.Tuple() | ast.List():
            return not value.elts
        case ast.Dict():
            return not value.keys
        case _:
            return False


def _not(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(op=ast.Not(), operand=test)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _signs(before: ast.AST, after: ast.AST) -> str:
    return f"{_SIGNS[type(before)]} is {_SIGNS[type(after)]}"


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 70 else f"{text[:67]}..."
