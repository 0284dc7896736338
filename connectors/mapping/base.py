"""The base of every contract model: frozen, no unknown keys, cross-field rules that are reported together.

A rule is a function that looks at a model and yields a problem for each thing that is wrong. It names the
fields it reads, so that it can also be run on a model of which other fields are wrong: then a wrong
batch_size does not hide a missing bookmark.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

RULE = "rule"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule found: where in the model, and a sentence that says what to do."""

    loc: tuple[str | int, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A check over several fields of one model."""

    needs: frozenset[str]
    check: Callable[[Any], Iterator[Problem]]


def rule(*needs: str) -> Callable[[Callable[[Any], Iterator[Problem]]], Rule]:
    """Turn a generator function into a rule that reads the fields (by attribute name) `needs`."""

    def wrap(check: Callable[[Any], Iterator[Problem]]) -> Rule:
        return Rule(frozenset(needs), check)

    return wrap


class Contract(BaseModel):
    """A part of a mapping or of the settings: parsed once, never changed, never shown with its secrets."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=False,
        use_attribute_docstrings=False,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def key_of(cls, name: str) -> str:
        """The documented key of an attribute (they differ where pydantic owns the name)."""
        return cls.model_fields[name].alias or name

    def problems(self, unknown: frozenset[str] = frozenset()) -> Iterator[Problem]:
        """Run every rule whose fields are known.

        Args:
            unknown: attribute names that could not be parsed and that the model therefore lacks.
        """
        for each in self.rules:
            if not each.needs & unknown:
                yield from each.check(self)

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        raise_problems(type(self).__name__, self.problems())
        return self


def raise_problems(title: str, problems: Iterator[Problem]) -> None:
    """Raise one pydantic error that carries every problem, each at its own location.

    Raises:
        ValidationError: there is at least one problem.
    """
    details = [
        InitErrorDetails(type=problem_error(problem.message), loc=problem.loc, input=None) for problem in problems
    ]
    if details:
        raise ValidationError.from_exception_data(title, details, hide_input=True)


def problem_error(message: str) -> PydanticCustomError:
    """A pydantic error whose message is shown as it stands."""
    return PydanticCustomError(RULE, "{message}", {"message": message})
