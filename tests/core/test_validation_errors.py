"""The one text of what a schema finds wrong."""

import pytest
from pydantic import BaseModel, ValidationError, field_validator, model_validator

from mldfr.core.validation_errors import explain


class Half(BaseModel):
    share: float = 0.5

    @field_validator("share")
    @classmethod
    def _half(cls, value):
        if value != 0.5:
            raise ValueError(f"expected a half; got {value}")
        return value


class Whole(BaseModel):
    count: int
    names: tuple[str, ...] = ()
    halves: list[Half] = []

    @model_validator(mode="after")
    def _named(self):
        if len(self.names) > self.count:
            raise ValueError(f"{len(self.names)} names of {self.count}")
        return self


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"count": "x"}, "count: Input should be a valid integer, unable to parse string as an integer; got 'x'"),
        ({"count": 1, "names": {"a": 1}}, "names: Input should be a valid tuple; got {'a': 1}"),
        ({"count": 1, "names": "y" * 10**6}, "names: Input should be a valid tuple; got '" + "y" * 79),
        ({"names": ["z" * 10**6]}, "count: Field required"),
        ({"count": 1, "halves": [{}, {"share": 1}]}, "halves.1.share: expected a half; got 1.0"),
        ({"count": 1, "names": ["a", "b"]}, "2 names of 1"),
    ],
)
def test_a_fault_says_key_and_what_was_expected_and_came(values, says):
    with pytest.raises(ValidationError) as error:
        Whole.model_validate(values)
    assert explain(error.value) == says


def test_of_many_faults_the_first_are_told():
    with pytest.raises(ValidationError) as error:
        Whole(count=1, names=[1, 2, 3, 4])
    told = [f"names.{n}: Input should be a valid string; got {n + 1}" for n in range(4)]
    assert explain(error.value) == explain(error.value, most=4) == "; ".join(told)
    assert explain(error.value, most=2) == "; ".join([*told[:2], "2 more"])
    assert explain([{"loc": (), "msg": "Invalid JSON"}]) == "Invalid JSON"  # what came is kept back
