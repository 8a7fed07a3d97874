"""An expression's syntax tree, checked and compiled to a program of the stack machine."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from homeostat.expressions import opcodes as op
from homeostat.expressions.literals import element_of, key_of, number_of
from homeostat.expressions.operators import ARGUMENTS, ARITHMETIC, COMPARISONS, FOLDED, FUNCTIONS, OF_NUMBER, OF_TIME
from homeostat.expressions.parse import parse
from homeostat.expressions.programs import Compiled
from homeostat.expressions.scope import ExpressionError, Scope, Symbol, Type, nearest_name
from homeostat.expressions.wording import DOMAIN, A, dotted, refusal
from homeostat.records.identity import category_code

_NUMERIC = (Type.NUMBER, Type.BOOLEAN)
_DIVISIONS = (op.DIVIDE, op.FLOOR_DIVIDE, op.MODULO)
_FAULTS_MAX = 10


def compile_expression(text: str, scope: Scope, strict: bool = False) -> Compiled:
    """Checks an expression against the names it may use, and compiles it; raises ExpressionError.

    strict : a part that can never have a value, such as `x / 0`, is a fault too

    >>> from homeostat.expressions.scope import Scope, Type
    >>> compile_expression("amount > 220", Scope.of([("amount", Type.NUMBER)])).type
    <Type.BOOLEAN: 'boolean'>
    """
    tree = parse(text)
    compiler = _Compiler(scope, text, strict)
    kind = compiler.value(tree)
    if kind == Type.TEXT:
        compiler.faults.append(ExpressionError("a text alone is no result", tree.col_offset))
    compiler.report()
    column = -1
    match tree:
        case ast.Name(id=name) if scope.symbols[name].type != Type.ENTITY:
            column = scope.symbols[name].slot
    if kind == Type.BOOLEAN:
        compiler.normalise()
    return Compiled(
        text=text,
        type=kind,
        code=np.array(compiler.code, dtype=np.int32).reshape(-1, 4),
        constants=np.array(compiler.constants, dtype=np.float64),
        keys=tuple(compiler.keys),
        names=frozenset(compiler.names),
        lists=frozenset(compiler.lists),
        column=column,
    )


def compile_entity(name: str, scope: Scope) -> Compiled:
    """A program whose result is a number for each entity, as far as 52 bits tell them apart; for counting them."""
    slot = scope.symbols[name].slot
    code = np.array([[op.ENTITY_CODE, slot, 0, 0]], dtype=np.int32)
    return Compiled(name, Type.CATEGORY, code, np.empty(0), (), frozenset([name]), frozenset(), -1)


@dataclass
class _Compiler:
    """Emits instructions for one expression. Each `value` leaves one value on the stack, except of TEXT.

    faults : of parts of the expression, each of which counts as UNKNOWN in what is made of it
    """

    scope: Scope
    text: str = ""
    strict: bool = False
    faults: list[ExpressionError] = field(default_factory=list)
    code: list[tuple[int, int, int, int]] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    keys: list[int | str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    height: int = 0

    def emit(self, node: ast.expr, operation: int, a: int = 0, b: int = 0, c: int = 0) -> None:
        self.height += op.effect(operation)
        if self.height > op.STACK_MAX:
            raise ExpressionError("too many values are pending: split the expression in two", node.col_offset)
        self.code.append((operation, a, b, c))

    def normalise(self) -> None:
        """A boolean field may be missing; a condition that is missing does not hold."""
        last = self.code[-1][0]
        exact = last == op.NOT or last == op.MISSING or op.AMONG <= last < op.ADD or op.AND <= last <= op.OR
        if not (exact or op.LESS <= last <= op.NOT_EQUAL or op.ENTITY_IS <= last < op.NEGATE):
            self.code.append((op.TRUTH, 0, 0, 0))

    def constant(self, node: ast.expr, number: float) -> None:
        self.constants.append(number)
        self.emit(node, op.CONSTANT, len(self.constants) - 1)

    def report(self) -> None:
        """Raise the faults, if there are any."""
        found = {(fault.offset, fault.message): fault for fault in self.faults}
        faults = tuple(found[key] for key in sorted(found))
        if faults:
            faults[0].all = faults[:_FAULTS_MAX]
            raise faults[0]

    def value(self, node: ast.expr) -> Type:
        """Emits an expression and returns its type; a TEXT is not emitted until its other side is known."""
        size, height = len(self.code), self.height
        try:
            return self.emitted(node)
        except ExpressionError as fault:
            self.faults.append(fault)
        del self.code[size:]
        self.height = height
        self.constant(node, math.nan)
        return Type.UNKNOWN

    def emitted(self, node: ast.expr) -> Type:
        match node:
            case ast.Constant():
                return self.literal(node)
            case ast.Name():
                return self.name(node)
            case ast.BinOp():
                return self.arithmetic(node)
            case ast.UnaryOp():
                return self.unary(node)
            case ast.BoolOp():
                return self.logic(node)
            case ast.Compare():
                return self.comparison(node)
            case ast.IfExp():
                return self.choice(node)
            case ast.Call():
                return self.call(node)
        joined = dotted(node)
        raise ExpressionError(refusal(node), node.col_offset, joined if joined in self.scope.symbols else None)

    def literal(self, node: ast.Constant) -> Type:
        if isinstance(node.value, str):
            return Type.TEXT
        if isinstance(node.value, bool):
            self.constant(node, float(node.value))
            return Type.BOOLEAN
        if node.value is None:
            raise ExpressionError("there is no None: missing(x) asks whether x has a value", node.col_offset)
        self.constant(node, number_of(node))
        return Type.NUMBER

    def symbol(self, node: ast.Name) -> Symbol:
        found = self.scope.symbols.get(node.id)
        if found is not None:
            self.names.add(node.id)
            return found
        if node.id in self.scope.lists:
            raise ExpressionError(f"{node.id} is a list: ask `{self.scope.lists[node.id][1]} in {node.id}`",
                                  node.col_offset)  # fmt: skip
        if node.id in FUNCTIONS:
            raise ExpressionError(f"{node.id} is a function: write {node.id}(...)", node.col_offset)
        if node.id in ("null", "nil", "undefined", "NULL", "Null", "nan", "NaN"):
            raise ExpressionError(f"there is no {node.id}: missing(x) asks whether x has a value", node.col_offset)
        known = [*self.scope.symbols, "True", "False"]
        raise ExpressionError(f"there is no {node.id} here", node.col_offset, nearest_name(node.id, known))

    def name(self, node: ast.Name) -> Type:
        symbol = self.symbol(node)
        if symbol.type == Type.ENTITY:
            raise ExpressionError(
                f"{node.id} is an entity: it can be compared by == and !=, asked about with `in`, and be missing",
                node.col_offset,
            )
        if symbol.type == Type.TIME:
            raise ExpressionError(f"{node.id} is a time: ask for {', '.join(f'{f}({node.id})' for f in OF_TIME)}",
                                  node.col_offset)  # fmt: skip
        self.emit(node, op.COLUMN, symbol.slot)
        return symbol.type

    def number(self, node: ast.expr) -> None:
        """Emits an expression that must be a number; true counts as 1."""
        self.expect(node, _NUMERIC, "a number")

    def condition(self, node: ast.expr) -> None:
        self.expect(node, (Type.BOOLEAN,), "a condition (compare it with something)")

    def expect(self, node: ast.expr, kinds: Sequence[Type], wanted: str) -> None:
        kind = self.value(node)
        if kind not in (*kinds, Type.UNKNOWN):
            raise ExpressionError(f"this is {A[kind]}, where {wanted} is needed", node.col_offset)

    def arithmetic(self, node: ast.BinOp) -> Type:
        spine = [node]
        while isinstance(spine[-1].left, ast.BinOp):
            spine.append(spine[-1].left)
        self.number(spine[-1].left)
        for step in reversed(spine):
            operation = ARITHMETIC.get(type(step.op))
            if operation is None:
                raise ExpressionError("bits are not for here: use and, or, not", step.right.col_offset)
            self.number(step.right)
            if operation in _DIVISIONS and self.code[-1][0] == op.CONSTANT and self.constants[-1] == 0:
                self.never("this divides by 0: the result is always missing", step.right)
            self.emit(step, operation)
            self.fold(step, operation)
        return Type.NUMBER

    def fold(self, node: ast.expr, operation: int) -> None:
        """Replaces an operation on two constants by its result, where that is exact on every machine."""
        if operation not in FOLDED or [line[0] for line in self.code[-3:-1]] != [op.CONSTANT, op.CONSTANT]:
            return
        result = FOLDED[operation](*self.constants[-2:])
        if math.isinf(result):
            self.never("the result is too large for a number: it is always missing", node)
        self.constants[-2:] = [result if math.isfinite(result) else math.nan]
        self.code[-3:] = [(op.CONSTANT, len(self.constants) - 1, 0, 0)]

    def never(self, message: str, node: ast.expr) -> None:
        """A part that can have no value, which nobody writes on purpose."""
        if self.strict:
            self.faults.append(ExpressionError(message, node.col_offset))

    def unary(self, node: ast.UnaryOp) -> Type:
        if isinstance(node.op, ast.Not):
            self.condition(node.operand)
            self.emit(node, op.NOT)
            return Type.BOOLEAN
        if isinstance(node.op, ast.Invert):
            raise ExpressionError("bits are not for here: use not", node.col_offset)
        self.number(node.operand)
        if isinstance(node.op, ast.USub):
            if self.code[-1][0] == op.CONSTANT:
                self.constants[-1] = -self.constants[-1]
            else:
                self.emit(node, op.NEGATE)
        return Type.NUMBER

    def logic(self, node: ast.BoolOp) -> Type:
        self.condition(node.values[0])
        for value in node.values[1:]:
            self.condition(value)
            self.emit(node, op.AND if isinstance(node.op, ast.And) else op.OR)
        return Type.BOOLEAN

    def comparison(self, node: ast.Compare) -> Type:
        if any(isinstance(o, ast.In | ast.NotIn | ast.Is | ast.IsNot) for o in node.ops) or len(node.ops) == 1:
            self.single_comparison(node)
            return Type.BOOLEAN
        self.number(node.left)
        for operator, right in zip(node.ops[:-1], node.comparators[:-1]):
            self.number(right)
            self.emit(right, COMPARISONS[type(operator)] + op.CHAIN_STEP)
        self.number(node.comparators[-1])
        self.emit(node, COMPARISONS[type(node.ops[-1])])
        for _ in node.ops[1:]:
            self.emit(node, op.AND)
        return Type.BOOLEAN

    def single_comparison(self, node: ast.Compare) -> None:
        operator, right = node.ops[0], node.comparators[0]
        if isinstance(operator, ast.Is | ast.IsNot):
            raise ExpressionError("use == and !=, and missing(x) for what has no value", node.col_offset)
        if len(node.ops) > 1:
            raise ExpressionError("`in` stands alone: join comparisons by `and`", node.col_offset)
        if isinstance(operator, ast.In | ast.NotIn):
            self.membership(node.left, right, isinstance(operator, ast.NotIn))
        elif (sides := self.entity_first(node.left, right)) is not None:
            self.entity_comparison(node, operator, *sides)
        else:
            self.plain_comparison(node, operator, right)

    def is_entity(self, node: ast.expr) -> bool:
        found = self.scope.symbols.get(node.id) if isinstance(node, ast.Name) else None
        return found is not None and found.type == Type.ENTITY

    def entity_first(self, left: ast.expr, right: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        if self.is_entity(left):
            return left, right
        return (right, left) if self.is_entity(right) else None

    def slot(self, node: ast.expr) -> int:
        return self.symbol(node).slot if isinstance(node, ast.Name) else -1

    def entity_comparison(self, node: ast.expr, operator: ast.cmpop, entity: ast.expr, other: ast.expr) -> None:
        if not isinstance(operator, ast.Eq | ast.NotEq):
            raise ExpressionError("entities have no order: only == and != compare them", node.col_offset)
        equal = isinstance(operator, ast.Eq)
        if self.is_entity(other):
            same = op.ENTITY_SAME if equal else op.ENTITY_DIFFERS
            self.emit(node, same, self.slot(entity), self.slot(other))
            return
        self.keys.append(self.key(other))
        self.emit(node, op.ENTITY_IS if equal else op.ENTITY_IS_NOT, self.slot(entity), len(self.keys) - 1)

    def key(self, node: ast.expr) -> int | str:
        """An entity's key, which counts as it is written: 1_000 or 0x10 would be another one."""
        key = key_of(node)
        written = self.text[node.col_offset : node.end_col_offset].replace(" ", "")
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            plain = written.removeprefix("-")
            if not (plain.isdecimal() and (plain == "0" or not plain.startswith("0"))):
                raise ExpressionError(
                    f"a key counts as it is written: put it into quotes, '{written}'", node.col_offset
                )
        return key

    def plain_comparison(self, node: ast.Compare, operator: ast.cmpop, right: ast.expr) -> None:
        kinds = [self.value(node.left)]
        if kinds[0] == Type.TEXT:
            self.category(node.left)
        kinds.append(self.value(right))
        if kinds[1] == Type.TEXT:
            self.category(right)
        if Type.UNKNOWN in kinds or all(kind in _NUMERIC for kind in kinds):
            self.emit(node, COMPARISONS[type(operator)])
            return
        if Type.CATEGORY not in kinds or any(kind in _NUMERIC for kind in kinds):
            raise ExpressionError(f"{A[kinds[0]]} cannot be compared with {A[kinds[1]]}", node.col_offset)
        if not isinstance(operator, ast.Eq | ast.NotEq):
            raise ExpressionError("categories have no order: only == and != compare them", node.col_offset)
        self.emit(node, COMPARISONS[type(operator)])

    def category(self, node: ast.expr) -> None:
        """Emits a text literal as a category's code."""
        assert isinstance(node, ast.Constant) and isinstance(node.value, str)
        self.constant(node, category_code(node.value))

    def membership(self, left: ast.expr, right: ast.expr, negated: bool) -> None:
        if isinstance(right, ast.Name):
            self.listed(left, right, negated)
            return
        if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
            raise ExpressionError("`in` needs a list's name, or literals such as (1, 2) or ('a',)", right.col_offset)
        if self.is_entity(left):
            start = len(self.keys)
            self.keys += [self.key(element) for element in right.elts]
            among = op.ENTITY_NOT_AMONG if negated else op.ENTITY_AMONG
            self.emit(left, among, self.slot(left), start, len(right.elts))
            return
        kind = self.value(left)
        if kind == Type.UNKNOWN:
            return
        if kind not in (*_NUMERIC, Type.CATEGORY):
            raise ExpressionError(f"this is {A[kind]}, which cannot be searched for", left.col_offset)
        start = len(self.constants)
        self.constants += [element_of(element, kind) for element in right.elts]
        self.emit(left, op.NOT_AMONG if negated else op.AMONG, start, len(right.elts))

    def listed(self, left: ast.expr, right: ast.Name, negated: bool) -> None:
        if right.id not in self.scope.lists:
            near = nearest_name(right.id, self.scope.lists)
            raise ExpressionError(f"there is no list {right.id}", right.col_offset, near)
        index, of = self.scope.lists[right.id]
        if not isinstance(left, ast.Name) or left.id != of:
            raise ExpressionError(f"{right.id} lists members of {of}: ask `{of} in {right.id}`", left.col_offset)
        self.lists.add(right.id)
        if self.is_entity(left):
            self.emit(left, op.ENTITY_NOT_LISTED if negated else op.ENTITY_LISTED, self.slot(left), index)
            return
        self.expect(left, (Type.CATEGORY,), "an entity or category")
        self.emit(left, op.NOT_LISTED if negated else op.LISTED, 0, index)

    def choice(self, node: ast.IfExp) -> Type:
        return self.one_of(node, node.body, node.orelse, node.test)

    def one_of(self, node: ast.expr, first: ast.expr, second: ast.expr, test: ast.expr | None) -> Type:
        """Emits the choice between two values of one type: by a condition, or by whether the first is missing."""
        kinds = [self.value(first)]
        if kinds[0] == Type.TEXT:
            self.category(first)
        if test is not None:
            self.condition(test)
        kinds.append(self.value(second))
        if kinds[1] == Type.TEXT:
            self.category(second)
        self.emit(node, op.DEFAULT if test is None else op.SELECT)
        kinds = [Type.CATEGORY if kind == Type.TEXT else kind for kind in kinds]
        if Type.UNKNOWN in kinds:
            return Type.UNKNOWN
        if kinds[0] == kinds[1]:
            return kinds[0]
        if all(kind in _NUMERIC for kind in kinds):
            return Type.NUMBER
        raise ExpressionError(f"one side is {A[kinds[0]]}, the other {A[kinds[1]]}", node.col_offset)

    def call(self, node: ast.Call) -> Type:
        if isinstance(node.func, ast.Attribute):
            raise ExpressionError(
                f"there are no methods such as .{node.func.attr}(): a category is compared as a whole, by == or `in`",
                node.col_offset,
            )
        if not isinstance(node.func, ast.Name):
            raise ExpressionError("only functions can be called", node.col_offset)
        name, arguments = node.func.id, node.args
        if name not in ARGUMENTS:
            near = nearest_name(name, FUNCTIONS)
            raise ExpressionError(f"there is no function {name}", node.col_offset, near)
        low, high = ARGUMENTS[name]
        if node.keywords or not low <= len(arguments) <= high:
            count = str(low) if low == high else f"at least {low}"
            raise ExpressionError(f"{name} takes {count} argument{'s' if high > 1 else ''}", node.col_offset)
        if name in OF_TIME:
            return self.calendar(name, arguments[0])
        if name == "missing":
            return self.missing(arguments[0])
        if name == "default":
            return self.one_of(node, arguments[0], arguments[1], None)
        self.number(arguments[0])
        if name in OF_NUMBER:
            constant = self.code[-1][0] == op.CONSTANT and not math.isnan(self.constants[-1])
            if constant and name in DOMAIN and not DOMAIN[name](self.constants[-1]):
                self.never(f"{name} of this number has no value: it is always missing", node)
            self.emit(node, OF_NUMBER[name])
        for place, argument in enumerate(arguments[1:]):
            self.number(argument)
            largest = name == "max" or (name == "clip" and place == 0)
            self.emit(node, op.MAX if largest else op.MIN)
        return Type.NUMBER

    def calendar(self, name: str, argument: ast.expr) -> Type:
        if not isinstance(argument, ast.Name) or self.symbol(argument).type != Type.TIME:
            raise ExpressionError(f"{name} takes the event's time", argument.col_offset)
        self.emit(argument, OF_TIME[name])
        return Type.NUMBER

    def missing(self, argument: ast.expr) -> Type:
        if self.is_entity(argument):
            self.emit(argument, op.ENTITY_MISSING, self.slot(argument))
            return Type.BOOLEAN
        self.expect(argument, (*_NUMERIC, Type.CATEGORY), "a value")
        self.emit(argument, op.MISSING)
        return Type.BOOLEAN
