"""Tracks: cut into parts, built to the same text, refused by name, and never printed."""

import pytest

from processor.iso8583.tracks import (
    Track1,
    Track2,
    build_track_1,
    build_track_2,
    read_track_1,
    read_track_2,
)
from processor.values.errors import DecodeError

PAN = "4000001234567899"


@pytest.mark.parametrize(
    ("value", "track", "cvv"),
    [
        pytest.param(
            f"{PAN}D29122011123456700000",
            Track2(PAN, "2912", "201", "1123456700000"), "567", id="packed, with PVV and CVV",
        ),
        pytest.param(
            f";{PAN}=2912201?", Track2(PAN, "2912", "201", "", "=", ";", "?"), "", id="characters, sentinels",
        ),
        pytest.param(
            f"B{PAN}D29122011F", Track2(PAN, "2912", "201", "1", "D", "B", "F"), "", id="sentinels as nibbles"
        ),
        pytest.param(f"{PAN}D2912201F", Track2(PAN, "2912", "201", "", "D", "", "F"), "", id="padded"),
    ],
)  # fmt: skip
def test_track_2_is_cut_and_built_to_the_same_text(value: str, track: Track2, cvv: str) -> None:
    assert read_track_2(value) == track
    assert build_track_2(track) == value
    assert track.cvv == cvv


@pytest.mark.parametrize(
    ("value", "track"),
    [
        pytest.param(
            f"B{PAN}^SMITH/JOHN^29122011123456700000",
            Track1(PAN, "SMITH/JOHN", "2912", "201", "1123456700000"), id="without sentinels",
        ),
        pytest.param(
            f"%B{PAN}^SMITH/JOHN^2912201?", Track1(PAN, "SMITH/JOHN", "2912", "201", "", "%", "?"),
            id="with sentinels",
        ),
    ],
)  # fmt: skip
def test_track_1_is_cut_and_built_to_the_same_text(value: str, track: Track1) -> None:
    assert read_track_1(value) == track
    assert build_track_1(track) == value


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        pytest.param("", "no PAN", id="nothing"),
        pytest.param("40000012345D2912201", "no PAN", id="a PAN of eleven digits"),
        pytest.param(f"{PAN}0000D2912201", "no PAN", id="a PAN of twenty digits"),
        pytest.param(PAN, "no expiry", id="a PAN alone"),
        pytest.param(f"{PAN}D291220", "no expiry", id="a service code of two digits"),
        pytest.param(f"{PAN}D2912D201", "no expiry", id="two separators"),
        pytest.param(f"{PAN}D29A2201", "no expiry", id="a letter in the expiry"),
    ],
)
def test_what_is_no_track_2_is_refused(value: str, rule: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        read_track_2(value)

    assert refusal.value.element == 35
    assert refusal.value.rule.startswith(rule)
    assert PAN not in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        pytest.param("", "not a track 1", id="nothing"),
        pytest.param(f"A{PAN}^SMITH^2912201", "not a track 1", id="format A"),
        pytest.param(f"B{PAN}^2912201", "not a track 1", id="no name"),
        pytest.param("B4000^SMITH^2912201", "no PAN", id="a short PAN"),
        pytest.param(f"B{PAN}^S^2912201", "the name", id="a name of one character"),
        pytest.param(f"B{PAN}^{'S' * 27}^2912201", "the name", id="a name of 27 characters"),
        pytest.param(f"B{PAN}^SMITH^291220", "no expiry", id="a short service code"),
        pytest.param(f"B{PAN}^SMITH^29X2201", "no expiry", id="a letter in the expiry"),
    ],
)
def test_what_is_no_track_1_is_refused(value: str, rule: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        read_track_1(value)

    assert refusal.value.element == 45
    assert refusal.value.rule.startswith(rule)


def test_what_could_not_be_read_is_not_built() -> None:
    with pytest.raises(ValueError, match="a part has not its length"):
        build_track_2(Track2(PAN, "29122", "01", ""))
    with pytest.raises(ValueError, match="no PAN"):
        build_track_2(Track2("4000", "2912", "201", ""))
    with pytest.raises(ValueError, match="a part has not its length"):
        build_track_1(Track1(PAN, "SMITH", "29122", "01", ""))
    with pytest.raises(ValueError, match="not a track 1"):
        build_track_1(Track1(PAN, "SM^TH", "2912", "201", ""))


def test_tracks_print_nothing() -> None:
    assert f"{Track2(PAN, '2912', '201', '')} {Track1(PAN, 'SMITH', '2912', '201', '')!r}" == (
        "Track2(...) Track1(...)"
    )
