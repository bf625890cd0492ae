"""Named resources: what counts as an amount and an address, and which addresses are taken."""

from __future__ import annotations

import pytest

from stoker.core.model.resources import (
    Addresses,
    Amounts,
    amounts_in,
    check_addresses,
    check_amounts,
    grouped,
    listed,
    pairs,
    properties_in,
    take_lowest,
)


def test_the_lowest_free_addresses_are_taken_by_their_value() -> None:
    offered = (("disk", ("b", "a")), ("gpu", ("10", "9", "0", "2")))
    assert take_lowest(offered, {("gpu", "0")}, (("gpu", 2),)) == (("gpu", ("2", "9")),)
    assert take_lowest(offered, (), (("disk", 1), ("gpu", 4))) == (("disk", ("a",)), ("gpu", ("0", "2", "9", "10")))
    assert grouped(reversed(pairs(offered))) == (("disk", ("a", "b")), ("gpu", ("0", "2", "9", "10")))


@pytest.mark.parametrize(
    "text, amounts",
    [("1", (("gpu", 1),)), (" 2 ", (("gpu", 2),)), ("0", ())],  # 0 asks for nothing, as in Spark
)
def test_properties_ask_for_amounts(text: str, amounts: Amounts) -> None:
    properties = {
        "spark.executor.resource.gpu.amount": text,
        "spark.executor.resource.gpu.discoveryScript": "/x",
        "spark.driver.resource.fpga.amount": "1",
        "spark.executor.memory": "1g",
    }
    assert amounts_in(properties, "spark.executor") == amounts


@pytest.mark.parametrize("text", ["-1", "0.5", "", "two", "1e3", "99999999999", "4097"])
def test_other_amounts_are_rejected_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"spark\.driver\.resource\.gpu\.amount must be a whole number"):
        amounts_in({"spark.driver.resource.gpu.amount": text}, "spark.driver")


@pytest.mark.parametrize(
    "resources, why",
    [
        ((("gpu", ()),), "between 1 and"),
        ((("gpu", ("0", "0")),), "'0' twice"),
        ((("gpu", ("0,1",)),), "not an address"),
        ((("gpu", ("a b",)),), "not an address"),
        ((("gpu", ("\x1b",)),), "not an address"),
        ((("gpu", ("é",)),), "not an address"),
        ((("g pu", ("0",)),), "not the name"),
        ((("gpu", ("0",)), ("gpu", ("1",))), "in the order"),
        ((("gpu", ("0",)), ("fpga", ("1",))), "in the order"),
    ],
)
def test_addresses_that_cannot_be_handed_out_are_rejected(resources: Addresses, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_addresses(resources)


@pytest.mark.parametrize("amounts", [(("gpu", 0),), (("gpu", -1),), (("gpu", 5000),), (("", 1),), (("b", 1), ("a", 1))])
def test_amounts_that_nothing_can_have_are_rejected(amounts: Amounts) -> None:
    with pytest.raises(ValueError):
        check_amounts(amounts)


def test_a_submission_passes_the_amounts_of_its_executors_on() -> None:
    amounts = (("fpga", 2), ("gpu", 1))
    assert amounts_in(properties_in(listed(amounts), "spark.executor"), "spark.executor") == amounts
    assert properties_in("", "spark.executor") == {}
