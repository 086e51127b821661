"""What this processor can do with integers of a byte."""

from __future__ import annotations

from functools import cache

_WIDE = "avx512vnni"
_PRODUCTS = (_WIDE, "avxvnni", "dotprod")  # x86 with 512 and 256 bits, ARM


@cache
def has_integer_products() -> bool:
    """Whether it multiplies bytes and adds up the products at once: where int8 is worth most."""
    return any(_features().get(name, False) for name in _PRODUCTS)


@cache
def has_wide_integer_products() -> bool:
    """Whether it does so for 64 bytes at a time, by AVX-512's vpdpbusd."""
    return bool(_features().get(_WIDE, False))


@cache
def _features() -> dict[str, bool]:
    from llvmlite import binding

    try:
        return dict(binding.get_host_cpu_features())
    except RuntimeError:  # LLVM does not know this processor
        return {}
