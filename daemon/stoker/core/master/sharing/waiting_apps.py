"""What applications want of the next pass: executors of each of their resource profiles, and whose turn that is."""

from __future__ import annotations

from dataclasses import dataclass

from stoker.core.master.books import BookedApp
from stoker.core.master.context import Context
from stoker.core.master.scheduling.dealing import Contender
from stoker.core.master.scheduling.placement import AppNeed
from stoker.core.model.profiles import DEFAULT_PROFILE, Profile


@dataclass(frozen=True, slots=True)
class WaitingApp:
    """An application, and the profiles of which it wants executors, in the order of their ids; None is the default one."""

    app: BookedApp
    needs: list[Profile | None]


def waiting_apps(ctx: Context) -> list[WaitingApp]:
    """Return the applications that may get executors, in order of registration."""
    return [WaitingApp(app, needs) for app in ctx.books.apps.values() if (needs := needs_of(ctx, app))]


def needs_of(ctx: Context, app: BookedApp) -> list[Profile | None]:
    """Return the profiles of which the application wants executors, in the order of their ids; None is the default one, with
    which a gang begins."""
    if app.peer is None or app.not_before > ctx.now.mono or app.record.hold is not None or app.cores_left < 1:
        return []
    profiles: list[Profile | None] = [None, *(app.record.profiles if app.at_once < 2 else ())]
    return [profile for profile in profiles if need_of(app, profile).is_open]


def need_of(app: BookedApp, profile: Profile | None = None) -> AppNeed:
    record = app.record
    sizes = record.description if profile is None else profile
    return AppNeed(
        cores_left=app.cores_left,
        cores_per_executor=sizes.cores_per_executor,
        memory_mib=sizes.memory_mib,
        executors=app.executors_of(DEFAULT_PROFILE if profile is None else profile.id),
        executor_limit=record.executor_limit if profile is None else profile.executor_limit,
        resources=sizes.resources,
        limit=record.description.time_limit,
        at_once=app.at_once if profile is None else 0,
    )


def contender_of(ctx: Context, waiting: WaitingApp, *, is_due: bool = False) -> Contender:
    """``is_due``: it has waited long enough to reserve room for its first executors."""
    app = waiting.app
    return Contender(
        need_of(app, waiting.needs[0]),
        app.pool,
        app.record.principal or "",
        app.record.description.priority or 0,
        in_turns=ctx.pools.of(app.pool).policy == "fair",
        app_id=app.record.id,
        is_due=is_due,
    )
