"""Hypothesis profiles: ``pytest --hypothesis-profile=thorough`` runs twenty times the examples.

With ``fewer`` a quarter: for runs that look for other things than wrong answers, as under sanitizers.
With ``unshrunk`` a failure comes as it was drawn: for those who only ask whether there is one.
"""

import os

from hypothesis import HealthCheck, Phase, settings

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "derandomize": "CI" in os.environ,
    "suppress_health_check": [HealthCheck.too_slow],
}

settings.register_profile("default", max_examples=100, **_COMMON)
settings.register_profile("thorough", max_examples=2000, **_COMMON)
settings.register_profile("fewer", max_examples=25, **_COMMON)
settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate], **_COMMON)
settings.load_profile("default")
