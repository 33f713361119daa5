"""No property depends on how fast the machine is."""

import contextlib

with contextlib.suppress(ModuleNotFoundError):  # Not every environment has it.
    from hypothesis import HealthCheck, settings

    settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any-machine")
