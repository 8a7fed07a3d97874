"""The expression language of rules, filters and derived features: a small, safe, typed subset of Python's."""

from homeostat.expressions.compiler import compile_entity, compile_expression
from homeostat.expressions.membership import ALWAYS, FOREVER, Membership
from homeostat.expressions.operators import FUNCTIONS
from homeostat.expressions.parse import LabelCondition, names_in, split_conjunction
from homeostat.expressions.programs import Compiled, Programs
from homeostat.expressions.scope import ExpressionError, Scope, Symbol, Type, nearest_name

__all__ = [
    "ALWAYS",
    "FOREVER",
    "FUNCTIONS",
    "Compiled",
    "ExpressionError",
    "LabelCondition",
    "Membership",
    "Programs",
    "Scope",
    "Symbol",
    "Type",
    "compile_entity",
    "compile_expression",
    "names_in",
    "nearest_name",
    "split_conjunction",
]
