"""Header-level rejects as data of a profile."""

import pytest

from processor.networks.profile import SHIPPED, load_profile, parse_profile
from processor.values.errors import ConfigError


def profile(base: str, rejects: str) -> str:
    return f'base = "{base}"\nname = "mine"\n[rejects]\n{rejects}\n'


@pytest.mark.parametrize("name", SHIPPED)
def test_only_a_network_whose_header_has_rejects_sends_any(name: str) -> None:
    rejects = load_profile(name).rejects

    assert bool(rejects.header and rejects.message_type and rejects.message) is (name == "visa-like")


def test_a_profile_takes_other_codes_or_none_in_place_of_its_bases() -> None:
    assert parse_profile(profile("visa-like", 'message = "0510"'), "mine").rejects.message == "0510"
    assert parse_profile(profile("visa-like", ""), "mine").rejects.message == ""


@pytest.mark.parametrize(
    ("base", "rejects", "problem"),
    [
        pytest.param("visa-like", 'header = "51"', "rejects.header: must be four digits", id="two digits"),
        pytest.param("visa-like", 'message = "05A0"', "rejects.message: must be four", id="a letter"),
        pytest.param("visa-like", 'other = "0510"', "unknown field `other`", id="another key"),
        pytest.param(
            "mc-like", 'message = "0510"', "rejects: the header of this dialect knows none", id="mc"
        ),
    ],
)
def test_rejects_that_cannot_be_sent_are_told_at_the_start(base: str, rejects: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_profile(profile(base, rejects), "mine")

    assert problem in str(refused.value)
