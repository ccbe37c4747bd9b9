"""Plan serverless inference applications: what each function runs on and when its instances exist.

The rooms of the library are re-exported here; `__all__` is the whole public surface.
"""

from smiless_core import catalog, windows
from smiless_core.arrivals import Arrivals, Atoms, Cells
from smiless_core.errors import (
    InfeasibleError,
    InvalidInputError,
    MissingExtraError,
    SmilessError,
    SolverError,
)
from smiless_core.fitting import Fit, fit_profile, fit_profiles, read_measurements
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
from smiless_core.solver import (
    Attainment,
    CompiledProblem,
    Explanation,
    Frontier,
    FrontierPoint,
    FrontierTable,
    Solution,
    Status,
    Work,
    explain,
    frontier,
    solve,
)
from smiless_core.traces import read_trace, read_traces
from smiless_core.versions import show_versions
from smiless_core.windows import Schedule, evaluate_schedule, switching_policy

__all__ = [
    "Application",
    "Arrivals",
    "Assignment",
    "Atoms",
    "Attainment",
    "Cells",
    "CompiledProblem",
    "Configuration",
    "Explanation",
    "Fit",
    "Frontier",
    "FrontierPoint",
    "FrontierTable",
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
    "Schedule",
    "SmilessError",
    "Solution",
    "SolverError",
    "Status",
    "Stay",
    "Trace",
    "Work",
    "__version__",
    "catalog",
    "evaluate_schedule",
    "explain",
    "fit_profile",
    "fit_profiles",
    "frontier",
    "read_application",
    "read_measurements",
    "read_profile_file",
    "read_profiles",
    "read_trace",
    "read_traces",
    "show_versions",
    "solve",
    "switching_policy",
    "windows",
    "write_profiles",
]

__version__ = "0.1.0"
