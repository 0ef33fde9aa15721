"""Limits on guessing PINs: off unless asked for, by account, and they hold."""

import pytest

from hsm_emulator.commands import HANDLERS
from hsm_emulator.emulator import Emulator
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.pin_block import encrypt_iso0
from hsm_emulator.pin_limits import VERIFYING, PinLimits
from hsm_emulator.state import Rules
from processor.hsm.commands import encode_request
from processor.hsm.errors import ErrorCode
from processor.hsm.table import COMMANDS

ZPK_CLEAR = bytes.fromhex("C7152C20BC2C830EA7EC9E8334ABE3FE")
ZPK, PVK = "U1EF828AA8F6B80EB83E19FBC373F3A85", "X367930344805B1FAD6146EF4ED7502B3"
ACCOUNT, OTHER = "550000025321", "550000025322"
PVV = "4402"  # of 1234


def emulator(pin_failures_max: int, *, authorised: bool = False) -> Emulator:
    return Emulator(VariantLmk(), rules=Rules(authorised, pin_failures_max=pin_failures_max))


def verify(hsm: Emulator, pin: str = "1234", account: str = ACCOUNT, block: str = "") -> str:
    fields = {"zpk": ZPK, "pvk": PVK, "pin_block": block or encrypt_iso0(ZPK_CLEAR, pin, account)}
    fields |= {"pin_format": "01", "account": account, "pvki": "1", "pvv": PVV}
    reply = hsm.reply(b"0001" + encode_request("EC", fields))
    assert reply is not None
    return reply[8:].decode()


def test_without_the_switch_there_is_no_limit() -> None:
    hsm = emulator(0)
    assert [verify(hsm, "9999") for _ in range(50)] == ["01"] * 50
    assert verify(hsm) == "00"


def test_the_right_pin_is_refused_too_once_the_limit_is_reached() -> None:
    hsm = emulator(3)
    assert [verify(hsm, "9999") for _ in range(4)] == ["01", "01", "01", "39"]
    assert verify(hsm) == "39"


def test_a_right_pin_begins_the_count_anew() -> None:
    hsm = emulator(3)
    said = [verify(hsm, pin) for pin in ("9999", "9999", "1234", "9999", "9999", "1234")]
    assert said == ["01", "01", "00", "01", "01", "00"]


def test_a_block_that_is_no_pin_counts_as_a_guess() -> None:
    hsm = emulator(3)
    said = [verify(hsm, block="0123456789ABCDEF") for _ in range(4)]
    assert said[-1] == "39"
    assert "39" not in said[:-1]
    assert set(said[:-1]) <= {"20", "24"}


def test_another_account_is_another_count() -> None:
    hsm = emulator(1)
    assert verify(hsm, "9999") == "01"
    assert verify(hsm, "9999", OTHER) == "01"
    assert [verify(hsm), verify(hsm, account=OTHER)] == ["39", "39"]


def test_a_diagnosis_or_a_bad_key_is_told_apart() -> None:
    hsm = emulator(1)
    bad_key = {"zpk": "U" + "0" * 32, "pvk": PVK, "pin_block": "0" * 16, "pin_format": "01"}
    request = encode_request("EC", bad_key | {"account": ACCOUNT, "pvki": "1", "pvv": PVV})
    assert [(hsm.reply(b"0001" + request) or b"")[8:] for _ in range(3)] == [b"10"] * 3
    assert verify(hsm) == "00"


def test_the_accounts_remembered_are_bounded() -> None:
    limits = PinLimits(2, accounts_most=2)
    wrong = limits.limited(lambda _fields, _state: ErrorCode.VERIFICATION_FAILED)
    state = emulator(0)._state

    def guess(account: str) -> object:
        return wrong({"account": account}, state)

    for account in ("1" * 12, "2" * 12, "3" * 12):
        guess(account)
    assert len(limits._failures) == 2
    guess("2" * 12)
    assert guess("2" * 12) is ErrorCode.FRAUD_DETECTION
    assert guess("1" * 12) is ErrorCode.VERIFICATION_FAILED, "the oldest was forgotten"
    assert all(len(name) == 16 for name in limits._failures), "hashes, not accounts"


@pytest.mark.parametrize("code", sorted(VERIFYING))
def test_the_commands_with_a_limit_exist_and_name_an_account(code: str) -> None:
    assert code in HANDLERS
    assert "account" in COMMANDS[code].request.names


def test_no_command_that_tells_a_right_pin_is_left_out() -> None:
    telling = {
        code
        for code, command in COMMANDS.items()
        if {"pin_block", "account"} <= set(command.request.names)
        and {"pvv", "offset", "pin_under_lmk"} & set(command.request.names)
    }
    assert telling - VERIFYING == set()
