"""Error codes of the host commands: the two characters after every response code.

Codes and their numbers follow public clients (mszeu/PayShieldPressureTest, ut-codec-payshield); a code that a
command uses in a sense of its own (81, 86) carries the general meaning here.
"""

import enum
from typing import Self


class ErrorCode(enum.Enum):
    """What the HSM answered; the value is the code on the wire, ``meaning`` is for people.

    >>> ErrorCode("10").meaning
    'source key parity error'
    """

    _value_: str
    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """Make the member ``code`` with its meaning."""
        member = object.__new__(cls)
        member._value_ = code
        member.meaning = meaning
        return member

    NO_ERROR = "00", "no error"
    VERIFICATION_FAILED = "01", "verification failure, or parity advice for an imported key"
    KEY_LENGTH_ADVICE = "02", "key length unusual for the algorithm"
    INVALID_COMPONENTS = "03", "number of components, or mode and scheme do not go together"
    INVALID_MODE = "04", "key type code or mode"
    INVALID_KEY_LENGTH_FLAG = "05", "key length flag or scheme"
    MAC_LENGTH = "06", "message length, or MAC over discretionary data"
    INVALID_PADDING = "09", "padding method"
    SOURCE_KEY_PARITY = "10", "source key parity error"
    DESTINATION_KEY_PARITY = "11", "destination key parity error, or all zeros"
    USER_STORAGE_UNAVAILABLE = "12", "user storage is not available"
    LMK_ERROR = "13", "LMK identifier or LMK error"
    INVALID_PIN_UNDER_LMK = "14", "PIN under the LMK is invalid"
    INVALID_INPUT = "15", "invalid input data"
    NOT_AUTHORISED = "17", "not in the authorised state"
    INVALID_PIN_BLOCK = "20", "PIN block does not contain valid values"
    INVALID_INDEX = "21", "index out of range"
    INVALID_ACCOUNT = "22", "invalid account number"
    INVALID_PIN_FORMAT = "23", "invalid PIN block format code"
    INVALID_PIN_LENGTH = "24", "PIN is shorter than 4 or longer than 12 digits"
    DECIMALISATION_TABLE = "25", "decimalisation table error"
    INVALID_KEY_SCHEME = "26", "invalid key scheme"
    INCOMPATIBLE_KEY_LENGTH = "27", "incompatible key length"
    INVALID_KEY_TYPE = "28", "invalid key type"
    FUNCTION_NOT_PERMITTED = "29", "function is not permitted for this key"
    ILLEGAL_MESSAGE = "35", "illegal message format"
    FRAUD_DETECTION = "39", "PIN attack limit reached"
    LMK_CHECKSUM = "40", "LMK or firmware checksum error"
    INTERNAL_ERROR = "41", "internal hardware or software error"
    DES_FAILURE = "42", "DES failure"
    INVALID_BRANCH_HEIGHT = "52", "invalid branch and height parameters"
    NOT_LICENSED = "67", "command is not licensed"
    COMMAND_DISABLED = "68", "command is disabled or unknown"
    PIN_FORMAT_DISABLED = "69", "PIN block format is disabled"
    SINGLE_LENGTH_MASQUERADE = "75", "single-length key posing as double or triple length"
    INVALID_DATA_LENGTH = "80", "data length error"
    PIN_LENGTH_MISMATCH = "81", "PIN length mismatch, or no transaction data"
    KEY_BLOCK_FORMAT = "83", "key block format error"
    WEAK_PIN = "86", "PIN is on the excluded list"
    INCOMPATIBLE_SCHEMES = "A1", "incompatible LMK schemes"
    KEY_BLOCK_LMK = "A3", "key block is under another LMK"
    KEY_BLOCK_AUTHENTICATION = "A4", "key block authentication failure"
    KEY_BLOCK_LENGTH = "A5", "key block's key length"
    KEY_USAGE = "A6", "key usage"
    KEY_ALGORITHM = "A7", "key algorithm"
    MODE_OF_USE = "A8", "mode of use"
    KEY_VERSION = "A9", "key version"
    KEY_EXPORTABILITY = "AA", "key exportability"
    OPTIONAL_BLOCKS = "AB", "number of optional blocks"
