"""Units of inertial recordings, in the spellings in which programs write them."""

import re

import numpy as np

STANDARD_GRAVITY = 9.80665  # m/s2
ACCELERATION_UNITS = {
    **{"m/s2": 1.0, "g": STANDARD_GRAVITY, "mg": STANDARD_GRAVITY / 1000, "ug": STANDARD_GRAVITY / 1e6},
    **{"cm/s2": 0.01, "mm/s2": 0.001, "ft/s2": 0.3048},
}
ROTATION_UNITS = {"rad/s": 1.0, "mrad/s": 1e-3, "deg/s": np.pi / 180, "mdeg/s": np.pi / 180000}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}

# In this order: longer words before those that they begin with.
_WORDS = (
    (r"²|\bsquared\b", "2"),
    (r"⁻", "-"),
    (r"¹", "1"),
    (r"[µμ]", "u"),
    (r"\bper\b", "/"),
    (r"\b(milli-?seconds?|millis|msecs?)\b", "ms"),
    (r"\b(micro-?seconds?|micros|usecs?)\b", "us"),
    (r"\b(nano-?seconds?|nanos|nsecs?)\b", "ns"),
    (r"minutes?\b", "min"),
    (r"(seconds?|secs?)(?![a-z])", "s"),
    (r"\bmilli[- ]?(?=g|deg|rad)", "m"),
    (r"\bmicro[- ]?(?=g)", "u"),
    (r"degrees?|[°º]", "deg"),
    (r"radians?", "rad"),
    (r"\bcentimet(er|re)s?", "cm"),
    (r"\bmet(er|re)s?", "m"),
    (r"\b(feet|foot)\b", "ft"),
    (r"\b(g-?forces?|gs|g's|gravit(y|ies)|standard gravity|g0|g_0|gee)\b", "g"),
    (r"[\s^*·⋅.()\[\]{}_]", ""),
)
_SPELLINGS = {
    **{"m/s/s": "m/s2", "ms-2": "m/s2", "mps2": "m/s2", "m/ss": "m/s2", "cms-2": "cm/s2", "mms-2": "mm/s2"},
    **{"degs-1": "deg/s", "dps": "deg/s", "degps": "deg/s", "mdps": "mdeg/s", "mdegs-1": "mdeg/s"},
    **{"rads-1": "rad/s", "radps": "rad/s", "mrads-1": "mrad/s"},
}
_KNOWN = {*ACCELERATION_UNITS, *ROTATION_UNITS, *TIME_UNITS}


def parse_unit(text: str) -> str | None:
    """Return the unit that a text spells, as a key of one of the tables above, or None if it is not known.

    `rps` is not known: it stands for radians per second and for revolutions per second.
    """
    plain = text.strip().lower()
    for pattern, plainer in _WORDS:
        plain = re.sub(pattern, plainer, plain)
    plain = _SPELLINGS.get(plain, plain)
    return plain if plain in _KNOWN else None


def unit_or_text(text: str) -> str:
    """Return the unit that a text spells, or the text itself, which is then an error unless an option says the unit."""
    return parse_unit(text) or text.strip()
