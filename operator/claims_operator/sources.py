"""Which Prometheus a ClaimsModel is judged by: one collector for each address and credentials."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from claims_operator.api.v1alpha1 import PrometheusReference
from claims_operator.collector import Collector, Refusal, Source
from claims_operator.core import addresses, credentials
from claims_operator.core.credentials import Credentials, UnusableCredentials
from claims_operator.errors import ClusterError, Refused

IDLE_SECONDS: Final = 600.0
"""A collector that nobody asked for so long is closed."""

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, bytes] | None]]
"""Namespace and name → keys; None where there is no such Secret."""


@dataclass(kw_only=True)
class _Kept:
    collector: Collector
    used_at: float


class Sources:
    """The collectors in use. Credentials never meet another address than the one that they are given for."""

    def __init__(
        self,
        *,
        address: str,
        own_credentials: Callable[[], Credentials],
        allowed_addresses: tuple[str, ...],
        read_secret: ReadSecret,
        connect: Callable[[str, Credentials], Source],
        least_seconds: float,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """Make no connection yet.

        ``address`` and ``own_credentials``: the operator's Prometheus, for ClaimsModels that name none. The credentials
        are read at each look, so that rotated ones are used.
        ``allowed_addresses``: base URLs that ClaimsModels may name besides.
        ``least_seconds``: see `Collector`.
        """
        self._address = address
        self._own_credentials = own_credentials
        self._allowed_addresses = allowed_addresses
        self._read_secret = read_secret
        self._connect = connect
        self._least_seconds = least_seconds
        self._now = now
        self._monotonic = monotonic
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def find(self, namespace: str, named: PrometheusReference | None) -> Collector:
        """Return the collector for a ClaimsModel of ``namespace``; trouble is what its snapshots tell."""
        await self._close_idle()
        try:
            if named is None:
                return self._collector(self._address, self._own_credentials())
            refusal = addresses.refusal(named.address, self._address, self._allowed_addresses)
            if refusal is not None:
                return self._refuse(f"spec.analysis.prometheus.address: {refusal}")
            return self._collector(named.address, await self._named_credentials(namespace, named.credentials_secret))
        except UnusableCredentials as problem:
            whose = "the operator's Prometheus" if named is None else "spec.analysis.prometheus"
            return self._refuse(f"{whose}: {problem}")

    async def close(self) -> None:
        """Close all collectors."""
        for kept in self._kept.values():
            await kept.collector.close()
        self._kept.clear()

    async def _named_credentials(self, namespace: str, secret: str | None) -> Credentials:
        if secret is None:
            return credentials.NONE
        try:
            keys = await self._read_secret(namespace, secret)
        except ClusterError as error:
            raise UnusableCredentials(
                f"the operator may read only Secrets that it was told of (Helm: prometheus.readableSecrets), {error}"
                if isinstance(error, Refused)
                else str(error)
            ) from error
        if keys is None:
            raise UnusableCredentials(
                f"there is no Secret {namespace}/{secret}, which the credentials are to come from"
            )
        try:
            return credentials.parse(keys)
        except UnusableCredentials as problem:
            raise UnusableCredentials(f"Secret {namespace}/{secret}: {problem}") from problem

    def _collector(self, address: str, of: Credentials) -> Collector:
        key = (address.rstrip("/"), of.fingerprint)
        kept = self._kept.get(key)
        if kept is None:
            if of.needs_tls and not address.startswith("https:"):
                raise UnusableCredentials(f"ca.crt and tls.crt are for https://, and {address} is not")
            kept = self._kept[key] = _Kept(collector=self._new(self._connect(address, of)), used_at=0.0)
        kept.used_at = self._monotonic()
        return kept.collector

    def _refuse(self, why: str) -> Collector:
        return self._new(Refusal(why, self._now))

    def _new(self, source: Source) -> Collector:
        return Collector(source, least_seconds=self._least_seconds, monotonic=self._monotonic)

    async def _close_idle(self) -> None:
        now = self._monotonic()
        for key in [key for key, kept in self._kept.items() if now - kept.used_at > IDLE_SECONDS]:
            await self._kept.pop(key).collector.close()
