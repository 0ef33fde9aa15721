"""Amounts as people say them: with the currency's letters (ISO 4217) in front, where they are known."""

from processor.values.money import EXPONENT, Money

_LETTERS = (
    "ALL 008 DZD 012 ARS 032 AUD 036 BSD 044 BHD 048 BDT 050 AMD 051 BBD 052 BMD 060 BTN 064 BOB 068 BWP 072 "
    "BZD 084 SBD 090 BND 096 MMK 104 BIF 108 KHR 116 CAD 124 CVE 132 KYD 136 LKR 144 CLP 152 CNY 156 COP 170 "
    "KMF 174 CRC 188 CUP 192 CZK 203 DKK 208 DOP 214 SVC 222 ETB 230 ERN 232 FKP 238 FJD 242 DJF 262 GMD 270 "
    "GIP 292 GTQ 320 GNF 324 GYD 328 HTG 332 HNL 340 HKD 344 HUF 348 ISK 352 INR 356 IDR 360 IRR 364 IQD 368 "
    "ILS 376 JMD 388 JPY 392 KZT 398 JOD 400 KES 404 KPW 408 KRW 410 KWD 414 KGS 417 LAK 418 LBP 422 LSL 426 "
    "LRD 430 LYD 434 MOP 446 MWK 454 MYR 458 MVR 462 MUR 480 MXN 484 MNT 496 MDL 498 MAD 504 OMR 512 NAD 516 "
    "NPR 524 ANG 532 AWG 533 VUV 548 NZD 554 NIO 558 NGN 566 NOK 578 PKR 586 PAB 590 PGK 598 PYG 600 PEN 604 "
    "PHP 608 QAR 634 RUB 643 RWF 646 SHP 654 SAR 682 SCR 690 SGD 702 VND 704 SOS 706 ZAR 710 SSP 728 SZL 748 "
    "SEK 752 CHF 756 SYP 760 THB 764 TOP 776 TTD 780 AED 784 TND 788 UGX 800 MKD 807 EGP 818 GBP 826 TZS 834 "
    "USD 840 UYU 858 UZS 860 WST 882 YER 886 TWD 901 VES 928 MRU 929 STN 930 ZWL 932 BYN 933 TMT 934 GHS 936 "
    "SDG 938 UYI 940 RSD 941 MZN 943 AZN 944 RON 946 TRY 949 XAF 950 XCD 951 XOF 952 XPF 953 ZMW 967 SRD 968 "
    "MGA 969 COU 970 AFN 971 TJS 972 AOA 973 BGN 975 CDF 976 BAM 977 EUR 978 UAH 980 GEL 981 PLN 985 BRL 986"
)
_NAMES = dict(zip(_LETTERS.split()[1::2], _LETTERS.split()[::2], strict=True))


def spoken(amount: Money) -> str:
    """An amount for people; a currency without letters here keeps its number.

    >>> spoken(Money(-1599, "840")), spoken(Money(1000, "392")), spoken(Money(5, "048"))
    ('USD -15.99', 'JPY 1,000', 'BHD 0.005')
    >>> spoken(Money(123456789, "978")), spoken(Money(1000, "999"))
    ('EUR 1,234,567.89', '1,000 of currency 999')
    """
    scale = 10 ** EXPONENT.get(amount.currency, 0)
    whole, part = divmod(abs(amount.minor), scale)
    cents = f".{part:0{len(str(scale)) - 1}}" if scale > 1 else ""
    digits = f"{'-' if amount.minor < 0 else ''}{whole:,}{cents}"
    named = amount.currency in _NAMES
    return f"{currency(amount.currency)} {digits}" if named else f"{digits} of {currency(amount.currency)}"


def currency(number: str) -> str:
    """A currency's letters.

    >>> currency("840"), currency("999")
    ('USD', 'currency 999')
    """
    return _NAMES.get(number, f"currency {number}")
