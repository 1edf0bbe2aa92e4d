"""Platforms without a system of their own, for tests that build the flow by hand."""

from __future__ import annotations

from uuid import UUID

from service.in_step import InStep


class NoSystems:
    """Where no platform has a source, nobody is asked; whoever asks all the same is told so."""

    async def fetch(self, platform: UUID, ref: str) -> bool:
        raise AssertionError(f"order {ref} of {platform} was asked for, and there is nobody to ask")

    async def was_read(self, platform: UUID, ref: str) -> None:
        raise AssertionError(f"order {ref} of {platform} was read, and there is nobody to read it")


def no_systems() -> InStep:
    return InStep(NoSystems(), NoSystems().was_read)
