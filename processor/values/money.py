"""Money: an integer of minor units with its ISO 4217 numeric currency. No floats anywhere.

Source of the exponents: ISO 4217; `domain` tables of this project's documentation list the exceptions to 2.
"""

import msgspec

# Numeric codes of the currencies this processor knows, by exponent. An unknown currency is refused, never
# taken for exponent 2: JPY 1000 is not 10.00.
_EXPONENTS: dict[int, str] = {
    0: "108 152 174 262 324 352 392 410 548 600 646 704 800 940 950 952 953",
    2: (
        "008 012 032 036 044 050 051 052 060 064 068 072 084 090 096 104 116 124 132 136 144 156 170 188 192 "
        "203 208 214 222 230 232 238 242 270 292 320 328 332 340 344 348 356 360 364 376 388 398 404 408 417 "
        "418 422 426 430 446 454 458 462 480 484 496 498 504 516 524 532 533 554 558 566 578 586 590 598 604 "
        "608 634 643 654 682 690 702 706 710 728 748 752 756 760 764 776 780 784 807 818 826 834 840 858 860 "
        "882 886 901 925 928 929 930 931 933 934 936 938 941 943 944 946 949 951 967 968 969 971 972 973 975 "
        "976 977 978 980 981 985 986"
    ),
    3: "048 368 400 414 434 512 788",
    4: "927 990",
}
EXPONENT: dict[str, int] = {
    code: exponent for exponent, codes in _EXPONENTS.items() for code in codes.split()
}


class Money(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An amount in minor units of one ISO 4217 numeric currency: ``Money(2599, "840")`` is USD 25.99.

    >>> Money(2599, "840") + Money(1, "840")
    Money(minor=2600, currency='840')
    """

    minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "convert through the ledger, do not add"
        return Money(self.minor + other.minor, self.currency)

    def __str__(self) -> str:
        """The amount with its decimal point, for people.

        >>> str(Money(-2599, "840")), str(Money(1000, "392")), str(Money(5, "048"))
        ('-25.99 840', '1000 392', '0.005 048')
        """
        exponent = EXPONENT.get(self.currency, 0)
        digits = str(abs(self.minor)).rjust(exponent + 1, "0")
        cut = len(digits) - exponent
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{digits[:cut]}{'.' if exponent else ''}{digits[cut:]} {self.currency}"
