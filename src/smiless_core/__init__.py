"""Plan serverless inference applications: what each function runs on and when its instances exist.

The rooms of the library are re-exported here; `__all__` is the whole public surface.
"""

from smiless_core.arrivals import Arrivals
from smiless_core.errors import (
    InfeasibleError,
    InvalidInputError,
    MissingExtraError,
    SmilessError,
    SolverError,
)
from smiless_core.model import (
    Application,
    Assignment,
    Configuration,
    Function,
    Hardware,
    HardwareProfile,
    Limits,
    Plan,
    Prices,
    Problem,
    Profile,
    Profiles,
    Readiness,
    Stay,
    Trace,
)
from smiless_core.model.files import read_application, read_profile_file, read_profiles, write_profiles

__all__ = [
    "Application",
    "Arrivals",
    "Assignment",
    "Configuration",
    "Function",
    "Hardware",
    "HardwareProfile",
    "InfeasibleError",
    "InvalidInputError",
    "Limits",
    "MissingExtraError",
    "Plan",
    "Prices",
    "Problem",
    "Profile",
    "Profiles",
    "Readiness",
    "SmilessError",
    "SolverError",
    "Stay",
    "Trace",
    "__version__",
    "read_application",
    "read_profile_file",
    "read_profiles",
    "write_profiles",
]

__version__ = "0.1.0"
