"""Signatures as data and as one line, of this and of earlier versions."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualiclip_metric import signature
from qualiclip_metric.signature import (
    Signature,
    changes,
    from_string,
    prompts_part,
    same,
    to_string,
)

NAMES = st.from_regex(r"[a-z][a-z0-9+@./-]{0,20}", fullmatch=True)
OLD = "lite|weights:d553acdf|prompts:7x2|T:4|fp32|size:512|v0.2.0"
NEW = (
    "model:lite|weights:d553acdf|prompts:7x2|temperature:4|precision:fp32|engine:torch|size:512"
    "|colour:raw|version:0.2.0"
)


@given(
    NAMES,
    st.sampled_from(["fp32", "bf16"]),
    st.sampled_from(["torch", "openvino"]),
    st.sampled_from([1.0, 2.0, 0.05, 12.5]),
    st.sampled_from([512, "native"]),
)
def test_a_line_is_parsed_as_it_was_written(
    model: str, precision: str, engine: str, temperature: float, size: int | str
) -> None:
    one = Signature(model, "d553acdf", "7x2", temperature, precision, engine, size)
    assert Signature.from_string(str(one)) == one
    assert to_string(one.as_dict()) == str(one)


def test_the_line() -> None:
    one = Signature("lite", "d553acdf", "7x2", 4.0, "fp32", size=512, version="0.2.0")
    assert str(one) == NEW
    assert Signature.from_string(NEW) == Signature.from_string(OLD) == one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, NEW),
        (OLD.replace("size:512|", ""), NEW.replace("512", "native")),
        (
            OLD.replace("fp32", "bf16|openvino"),
            NEW.replace("fp32", "bf16").replace("engine:torch", "engine:openvino"),
        ),
        ("user/name@c0ffee00|v1", "model:user/name@c0ffee00|version:1"),
    ],
)  # fmt: skip
def test_a_line_of_an_earlier_version_states_the_same(old: str, new: str) -> None:
    assert same(old, new)
    assert changes(from_string(old), from_string(new)) == ()
    assert to_string(from_string(old)) == new
    assert not same(old.replace("v", "v9."), new)


def test_a_json_object_of_an_earlier_version_states_the_same() -> None:
    old = {"model": "lite", "weights": "d553acdf", "prompts": "7x2", "temperature": 4.0}
    old |= {"precision": "fp32", "version": "0.2.0"}
    assert to_string(old) == NEW.replace("512", "native")


@pytest.mark.parametrize(
    "line", ["pyiqa:niqe|pyiqa:0.1.16", "table:a.csv|sha256:9f|score:mos", "model:blur", ""]
)
def test_lines_of_other_metrics(line: str) -> None:
    assert to_string(from_string(line)) == line


@pytest.mark.parametrize("line", ["", "lite|fp32", OLD.replace("4", "x"), NEW.replace("512", "x")])
def test_a_line_that_is_not_ours(line: str) -> None:
    with pytest.raises(ValueError, match="signature: "):
        Signature.from_string(line)


def test_changes() -> None:
    assert changes(from_string("a|T:5|fp32"), from_string("b|T:2|bf16|x:1")) == (
        "model a -> b", "temperature 5 -> 2", "precision fp32 -> bf16", "x – -> 1"
    )  # fmt: skip
    assert changes({}, {"model": "a"}) == ("model – -> a",)
    assert changes({"temperature": 5.0}, {"temperature": "5"}) == ()


def test_prompts_of_the_user_have_a_digest() -> None:
    one, other = [("a", "b")], [("a", "c")]
    assert prompts_part(7) == "7x2"
    assert prompts_part(1, one) == prompts_part(1, one) != prompts_part(1, other)


def test_examples() -> None:
    assert doctest.testmod(signature).failed == 0
