"""What commands need keys for. A role separates keys: the wrong type or usage is refused, whatever the bytes.

Under a variant LMK a key's type says which LMK pair it is under, so that a key of another type decrypts to
noise. In a key block usage and mode of use are written, and authenticated. Usages are those of public key
blocks (ut-codec-payshield) and of TR-31.
"""

from collections.abc import Iterable


class Role:
    """One purpose of keys: the key types it takes, first the classic one, then the PCI HSM one.

    ``usages`` and ``modes`` are what a key block must say. Roles are compared by identity.
    """

    __slots__ = ("modes", "types", "usages")

    def __init__(self, types: Iterable[str], usages: Iterable[str], modes: str) -> None:
        self.types = tuple(types)
        self.usages = frozenset(usages)
        self.modes = frozenset(modes)

    def key_type(self, *, pci: bool) -> str:
        """The key type of a field that names none."""
        return self.types[-1] if pci else self.types[0]


_ENCRYPT, _DECRYPT, _MAKE, _CHECK, _DERIVE = "BEN", "BDN", "CGN", "CVN", "XN"
_ZONE_PIN, _TERMINAL_PIN = ("P0", "72"), ("P0", "71")
_MACS = ("M0", "M1", "M3", "M6")

WRAPPING_ZMK = Role(["000"], ["K0"], _ENCRYPT)
UNWRAPPING_ZMK = Role(["000"], ["K0"], _DECRYPT)
WRAPPING_TMK = Role(["002", "80D"], ["K0"], _ENCRYPT)
ZPK_FROM = Role(["001"], _ZONE_PIN, _DECRYPT)
ZPK_TO = Role(["001"], _ZONE_PIN, _ENCRYPT)
TPK_FROM = Role(["002", "70D"], _TERMINAL_PIN, _DECRYPT)
CVK_MAKE = Role(["402"], ["C0"], _MAKE)
CVK_CHECK = Role(["402"], ["C0"], _CHECK)
PVV_MAKE = Role(["002"], ["V2"], _MAKE)
PVV_CHECK = Role(["002"], ["V2"], _CHECK)
IBM_MAKE = Role(["002"], ["V1"], _MAKE)
IBM_CHECK = Role(["002"], ["V1"], _CHECK)
BDK = Role(["009"], ["B0"], _DERIVE)
MK_AC = Role(["109"], ["E0"], _DERIVE)
MK_SMI = Role(["209"], ["E2"], _DERIVE)
MK_DYNAMIC = Role(["709"], ["E0", "E4"], _DERIVE)


def _typed(types: Iterable[str], usages: Iterable[str], modes: str) -> dict[str, Role]:
    """A role for each key type that a field may name; FFF stands for a key block."""
    return {key_type: Role([key_type], usages, modes) for key_type in [*types, "FFF"]}


PIN_KEYS = _typed(["001", "002", "70D"], {*_ZONE_PIN, *_TERMINAL_PIN}, _DECRYPT)
MAC_MAKE = _typed(["003", "008"], _MACS, _MAKE)
MAC_CHECK = _typed(["003", "008"], _MACS, _CHECK)
DATA_ENCRYPT = _typed(["00A", "00B", "30B"], ["D0"], _ENCRYPT)
DATA_DECRYPT = _typed(["00A", "00B", "30B"], ["D0"], _DECRYPT)

# fmt: off
KEY_TYPES = frozenset({
    "000",  # ZMK
    "001",  # ZPK
    "002",  # PVK; TPK and TMK without PCI HSM key types
    "70D", "80D",  # TPK and TMK with them
    "003", "008",  # TAK, ZAK
    "00A", "00B", "30B",  # ZEK, DEK, TEK
    "009", "609", "809",  # BDK-1 to BDK-3
    "109", "209", "309", "409", "509", "709",  # issuer master keys: AC, SMI, SMC, DAC, DN, dCVV and CVC3
    "402",  # CVK, CSCK
})
# fmt: on
"""Key types of TDES keys: what A0 makes and A6 takes in."""

NOT_TDES = frozenset({"00C", "00D", "10C"})
"""RSA and HMAC keys: types that exist, but not for these commands."""
