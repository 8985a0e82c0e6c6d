"""What the agent can do besides talking. A tool that fails tells the model, not the user."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from stator.runtime.database import ActorDatabase

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
}


class Tool(msgspec.Struct, frozen=True):
    """A function the model may ask for."""

    description: str
    """For the model."""
    parameters: dict[str, str]
    """All are texts and required; what each is, for the model."""
    use: Callable[..., Awaitable[str]]


async def calculate(db: ActorDatabase, expression: str) -> str:
    """Work out a sum, product, difference or quotient."""
    return f"{_value(ast.parse(expression, mode='eval').body):.12g}"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(int() | float() as number):
            return number
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
        case _:
            raise ValueError(f"not a sum: {ast.unparse(node)}")


async def remember(db: ActorDatabase, fact: str) -> str:
    """Keep a fact in the agent's database; twice is once."""
    await db.execute("INSERT OR IGNORE INTO facts (fact) VALUES (?)", fact)
    return f"noted: {fact}"


async def recall(db: ActorDatabase) -> str:
    """Return all facts that were kept."""
    rows = await db.execute("SELECT fact FROM facts ORDER BY id")
    return "; ".join(row.fact for row in rows) or "nothing yet"


TOOLS = {
    "calculate": Tool(
        "Work out an arithmetic expression.", {"expression": "such as 2 * 21"}, calculate
    ),
    "remember": Tool("Keep a fact for later conversations.", {"fact": "in a sentence"}, remember),
    "recall": Tool("Return all facts that were kept.", {}, recall),
}


def describe_tools() -> list[dict[str, Any]]:
    """Return the tools as the chat completion API wants them."""
    return [_describe(name, tool) for name, tool in TOOLS.items()]


def _describe(name: str, tool: Tool) -> dict[str, Any]:
    properties = {
        parameter: {"type": "string", "description": text}
        for parameter, text in tool.parameters.items()
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": function}


async def use_tool(db: ActorDatabase, name: str, arguments: str) -> str:
    """Return what a tool says; an error too, since the model can often do better then."""
    if name not in TOOLS:
        return f"error: there is no tool {name}"
    try:
        return await TOOLS[name].use(db, **msgspec.json.decode(arguments or "{}"))
    except (ArithmeticError, msgspec.DecodeError, SyntaxError, TypeError, ValueError) as error:
        return f"error: {error}"
