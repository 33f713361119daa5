"""MLServer runtimes for packages of tabular claims models; model-settings.json names one of these classes."""

from claims_runtime.models import SKLearnClaims, XGBoostClaims

__all__ = ["SKLearnClaims", "XGBoostClaims"]
