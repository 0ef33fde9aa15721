"""``standin hsm explain``: why a value of a test card is not the expected one."""

import cyclopts
import msgspec

from hsm_emulator.cli.explain_values import Terms, Values
from hsm_emulator.explain.card import explain_cvv
from hsm_emulator.explain.chip import (
    VERSIONS,
    Transaction,
    answer_steps,
    card_key_of,
    explain_arqc,
    read_tags,
    version_of,
)
from hsm_emulator.explain.pin import Ibm, explain_block, explain_offset, explain_pvv, pin_of_block
from hsm_emulator.explain.story import Step, Story
from hsm_emulator.ibm3624 import fill_validation_data
from processor.values.errors import ConfigError
from processor.values.sensitive import Pan

app = cyclopts.App(
    name="explain",
    help="Explain how a value of a test card comes about, and what a wrong one would be right for.",
    default_parameter=cyclopts.Parameter(show_default=False, negative=""),
)


_DEFAULT_TERMS = Terms()


@app.command
def cvv(
    *,
    cvk: str = "",
    pan: str = "",
    expiry: str = "",
    service_code: str = "",
    cvv: str = "",
    terms: Terms = _DEFAULT_TERMS,
) -> None:
    """Explain a CVV, CVV2 (service code 000) or iCVV (999).

    Exit code 0 when it is right, or when none is given; 1 when it is wrong; 2 when it cannot be explained.

    Example: standin hsm explain cvv --cvk U9B4934384B19946B040CD702B4D58145 --pan 4123456789012345
    --expiry 8701 --service-code 101 --cvv 561

    Args:
        cvk: The test key, in clear or under the test LMK.
        pan: The card.
        expiry: Four digits, in the order that the CVV is made with.
        service_code: Three digits.
        cvv: The value in question.
        terms: What is trusted, and how to print.
    """
    told = Values(terms, cvk=cvk, pan=pan, expiry=expiry, service_code=service_code, cvv=cvv)
    key, card = told.key("cvk"), told.pan()
    dates = told.digits("expiry", 4), told.digits("service_code", 3)
    _tell(explain_cvv(key, card, *dates, told.digits("cvv", 3, default="")), terms)


@app.command
def pvv(
    *,
    pvk: str = "",
    pan: str = "",
    pvki: str = "",
    pin: str = "",
    pin_block: str = "",
    zpk: str = "",
    format: str = "",  # noqa: A002 - the option's name
    pvv: str = "",
    terms: Terms = _DEFAULT_TERMS,
) -> None:
    """Explain a PVV, of a PIN or of the PIN in a block.

    Exit code as ``explain cvv``.

    Example: standin hsm explain pvv --pvk X367930344805B1FAD6146EF4ED7502B3 --pan 4000001234567899 --pin 1234
    --pvv 1234

    Args:
        pvk: The test key, in clear or under the test LMK.
        pan: The card.
        pvki: The key's index, one digit; default: 1.
        pin: The PIN of the test card.
        pin_block: Instead: a block with it, 16 hex digits, with zpk.
        zpk: The block's test key.
        format: The block's format code; default: 01.
        pvv: The value in question.
        terms: What is trusted, and how to print.
    """
    told = Values(
        terms, pvk=pvk, pan=pan, pvki=pvki, pin=pin, pin_block=pin_block, zpk=zpk, format=format, pvv=pvv
    )
    steps, known = _pin(told)
    key, card, index = told.key("pvk"), told.pan(), told.digits("pvki", 1, default="1")
    _tell(explain_pvv(key, card, index, known, told.digits("pvv", 4, default="")), terms, steps)


@app.command
def offset(
    *,
    pvk: str = "",
    pan: str = "",
    pin: str = "",
    pin_block: str = "",
    zpk: str = "",
    format: str = "",  # noqa: A002 - the option's name
    validation_data: str = "",
    table: str = "",
    offset: str = "",
    terms: Terms = _DEFAULT_TERMS,
) -> None:
    """Explain an IBM 3624 offset, of a PIN or of the PIN in a block.

    Exit code as ``explain cvv``.

    Example: standin hsm explain offset --pvk 4C9BE09E681A19DC --pan 4000001234567899 --pin 1234
    --validation-data 9230000N0431 --offset 0000

    Args:
        pvk: The test key, in clear or under the test LMK.
        pan: The card.
        pin: The PIN of the test card.
        pin_block: Instead: a block with it, 16 hex digits, with zpk.
        zpk: The block's test key.
        format: The block's format code; default: 01.
        validation_data: As host commands have it: 12 characters with an N, or P and 16 hex digits.
        table: The decimalisation table; default: 0123456789012345.
        offset: The value in question, without its padding.
        terms: What is trusted, and how to print.
    """
    told = Values(
        terms,
        pvk=pvk,
        pan=pan,
        pin=pin,
        pin_block=pin_block,
        zpk=zpk,
        format=format,
        validation_data=validation_data,
        table=table,
        offset=offset,
    )
    steps, known = _pin(told)
    card = told.pan()
    data = fill_validation_data(told.text("validation_data").upper(), Pan(card).account_12()) or ""
    if len(data) != 16 or data.strip("0123456789ABCDEF"):
        raise ConfigError(["validation_data: must be 11 hex digits and one N, or P and 16 hex digits"])
    ibm = Ibm(
        told.key("pvk", "ibm_pvk", 8, 16, 24), data, told.digits("table", 16, default="0123456789012345")
    )
    shown = told.text("offset", "").upper().rstrip("F")
    if shown and not (shown.isascii() and shown.isdecimal() and 4 <= len(shown) <= 12):
        raise ConfigError(["offset: must be 4 to 12 digits"])
    _tell(explain_offset(ibm, card, known, shown), terms, steps)


@app.command(name="pin-block")
def explain_pin_block(
    *,
    zpk: str = "",
    pan: str = "",
    pin_block: str = "",
    format: str = "",  # noqa: A002 - the option's name
    terms: Terms = _DEFAULT_TERMS,
) -> None:
    """Explain what is in a PIN block, and when it is no PIN, how else the block could be read.

    Exit code as ``explain cvv``.

    Example: standin hsm explain pin-block --zpk U1EF828AA8F6B80EB83E19FBC373F3A85 --pan 4000001234567899
    --pin-block 91DDDA0A7C12CFAA

    Args:
        zpk: The test key, in clear or under the test LMK.
        pan: The card.
        pin_block: The block, 16 hex digits.
        format: Its format code; default: 01.
        terms: What is trusted, and how to print.
    """
    _tell(explain_block(Values(terms, zpk=zpk, pan=pan, pin_block=pin_block, format=format).block()), terms)


@app.command
def arqc(
    *,
    imk_ac: str = "",
    pan: str = "",
    psn: str = "",
    de55: str = "",
    data: str = "",
    cvn: str = "",
    atc: str = "",
    un: str = "",
    arqc: str = "",
    arc: str = "",
    csu: str = "",
    terms: Terms = _DEFAULT_TERMS,
) -> None:
    """Explain a chip card's cryptogram, from DE 55 or from the data as the host put it together.

    Exit code as ``explain cvv``.

    Example: standin hsm explain arqc --imk-ac 0123456789ABCDEFFEDCBA9876543210 --from arqc.txt

    Args:
        imk_ac: The issuer's test key, in clear or under the test LMK.
        pan: The card.
        psn: The PAN's sequence number, two digits; default: 00.
        de55: The tags of DE 55 in hex digits, which also give atc, un, arqc and mostly cvn.
        data: Instead: what the cryptogram is over, in hex digits, with cvn, atc, un and arqc.
        cvn: The version, such as visa-10, visa-18, mastercard-17; default: what 9F10 tells.
        atc: 9F36, four hex digits, where another than DE 55's.
        un: 9F37, eight hex digits, where another than DE 55's.
        arqc: 9F26, the value in question, where another than DE 55's.
        arc: Also make the answer with this response code, four hex digits.
        csu: Also make the answer with this card status update, eight hex digits.
        terms: What is trusted, and how to print.
    """
    told = Values(
        terms,
        imk_ac=imk_ac,
        pan=pan,
        psn=psn,
        de55=de55,
        data=data,
        cvn=cvn,
        atc=atc,
        un=un,
        arqc=arqc,
        arc=arc,
        csu=csu,
    )
    tags = read_tags(told.raw("de55", ""))
    card, number = told.pan(), told.digits("psn", 2, default="00")
    version = told.text("cvn", "") or version_of(tags, card)
    if version not in VERSIONS:
        raise ConfigError([f"cvn: must be one of {' '.join(VERSIONS)}"])
    asked = Transaction(
        tags,
        told.raw("data", ""),
        told.raw("atc", tags.get("9F36", b"").hex()),
        told.raw("un", tags.get("9F37", bytes(4)).hex()),
        told.raw("arqc", tags.get("9F26", b"").hex()).hex().upper(),
    )
    key = told.key("imk_ac")
    story = explain_arqc(key, card, number, version, asked)
    answer = told.raw("arc", ""), told.raw("csu", "")
    more = []
    if any(answer):
        whole = asked._replace(cryptogram=asked.cryptogram or story.expected)
        more = answer_steps(card_key_of(key, card, number), version, whole, code=answer[0], csu=answer[1])
    _tell(story, terms, [Step("version", version, "what is signed, how, and under which key")], more)


def _pin(told: Values) -> tuple[list[Step], str]:
    """The PIN, and the steps to it where it is in a block. Errors: ConfigError."""
    pin = told.digits("pin", *range(4, 13), default="")
    if bool(pin) == bool(told.text("pin_block", "")):
        raise ConfigError(["give pin or pin_block, one of them"])
    return ([], pin) if pin else pin_of_block(told.block())


def _tell(
    story: Story, terms: Terms, before: list[Step] | None = None, after: list[Step] | None = None
) -> None:
    """Print the story; exit."""
    whole = msgspec.structs.replace(story, steps=(*(before or []), *story.steps, *(after or [])))
    print(msgspec.json.encode(whole).decode() if terms.json else "\n".join(_lines(whole)))
    raise SystemExit(0 if whole.fits else 1)


def _lines(story: Story) -> list[str]:
    width = max(len(step.name) for step in story.steps)
    rows = [f"{step.name:<{width}}  {step.value}\n{'':<{width}}    {step.how}" for step in story.steps]
    if story.fits:
        return [*rows, "", f"{story.given} is right" if story.given else f"it is {story.expected}"]
    rows += ["", f"{story.given} is not right: {story.expected or 'there is none'}"]
    rows += [f"  it would be right with: {instead}" for instead in story.instead]
    if not story.instead:
        rows.append(f"  none of {story.tries} likely mistakes gives it")
    elif story.tries > story.chance_one_in // 100 > 0:
        rows.append(f"  of {story.tries} that were tried; 1 in {story.chance_one_in:,} is right by chance")
    return rows
