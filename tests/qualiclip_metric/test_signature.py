"""Signatures as data and as one line, there and back."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualiclip_metric import signature
from qualiclip_metric.signature import Signature, changes, from_string, prompts_part, to_string

NAMES = st.from_regex(r"[a-z][a-z0-9+@.-]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("openvino", "torch") and not name.startswith("v")
)


@given(
    NAMES.filter(lambda name: not name.startswith(("fp", "bf"))),
    st.sampled_from(["fp32", "bf16"]),
    st.sampled_from(["torch", "openvino"]),
    st.sampled_from([1.0, 2.0, 0.05, 12.5]),
)
def test_there_and_back(model: str, precision: str, engine: str, temperature: float) -> None:
    one = Signature(model, "d553acdf", "7x2", temperature, precision, engine)
    assert Signature.from_string(str(one)) == one
    assert to_string(one.as_dict()) == str(one)


def test_the_line() -> None:
    one = Signature("lite", "d553acdf", "7x2", 5.0, "fp32", version="0.1.0")
    assert str(one) == "lite|weights:d553acdf|prompts:7x2|T:5|fp32|v0.1.0"
    other = Signature("lite", "d553acdf", "7x2", 5.0, "bf16", "openvino", "0.1.0")
    assert str(other) == "lite|weights:d553acdf|prompts:7x2|T:5|bf16|openvino|v0.1.0"
    sized = Signature("lite", "d553acdf", "7x2", 5.0, "fp32", version="0.2.0", size=512)
    assert str(sized) == "lite|weights:d553acdf|prompts:7x2|T:5|fp32|size:512|v0.2.0"
    assert Signature.from_string(str(sized)) == sized
    assert "size" not in one.as_dict()


@pytest.mark.parametrize(
    "line", ["blur|v7", "pyiqa:niqe|pyiqa:0.1.16", "table:a.csv|sha256:9f|score:mos", "mine", ""]
)
def test_lines_of_other_metrics(line: str) -> None:
    assert to_string(from_string(line)) == line


@pytest.mark.parametrize("line", ["", "lite|fp32", "a|weights:1|prompts:7x2|T:x|fp32|v1"])
def test_a_line_that_is_not_ours(line: str) -> None:
    with pytest.raises(ValueError, match="signature: "):
        Signature.from_string(line)


def test_changes() -> None:
    assert changes(from_string("a|T:5|fp32"), from_string("a|T:5|fp32")) == ()
    assert changes(from_string("a|T:5|fp32"), from_string("b|T:2|bf16|x:1")) == (
        "model a -> b", "temperature 5 -> 2", "precision fp32 -> bf16", "x – -> 1"
    )  # fmt: skip
    assert changes({}, {"model": "a"}) == ("model – -> a",)
    assert changes({"temperature": 5.0}, {"temperature": "5"}) == ()


def test_prompts_of_ones_own_have_a_digest() -> None:
    one, other = [("a", "b")], [("a", "c")]
    assert prompts_part(7) == "7x2"
    assert prompts_part(1, one) == prompts_part(1, one) != prompts_part(1, other)


def test_examples() -> None:
    assert doctest.testmod(signature).failed == 0
