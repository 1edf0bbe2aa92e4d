"""Background work through PgQueuer: letters that nobody waits for, one-time codes, and the regular clean-up.

A job may run twice (its worker was killed after the mail went out): the mail then has the same Message-ID, and the timeline says it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
import structlog
from pgqueuer import Job, PgQueuer
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Schedule

from service.code_letters import CodeLetters
from service.code_texts import CodeTexts
from service.identity import Identity
from service.inbox import Inbox
from service.ports import Declined, Mailer, OutcomeUnknown, Unavailable
from service.post import CaseMail, Post
from service.store import idempotency, jobs
from service.store.notices import NoticeStore
from service.store.pool import Pool

log: Final = structlog.get_logger()

# A killed worker's jobs are another's after the sum of these two; the library's own 30 s each are a minute of a customer's patience.
HEARTBEAT_SECONDS: Final = 3.0
DEQUEUE_SECONDS: Final = 2.0
# Mail servers take a few connections at once; the library wants room for two batches.
AT_ONCE_MAX: Final = 20
_BATCH: Final = 10

# A mail server that has not answered by then may still have taken the mail.
_SEND_SECONDS_MAX: Final = 20.0
# Waits double from the first to the last (greylisting lets the second try in after minutes; a mail server may be down for hours).
_RETRY_SECONDS_FIRST: Final = 2.0
_RETRY_SECONDS_LAST: Final = 300.0
# With waits of five minutes about a day: news older than that is better found in the case.
MAIL_TRIES_MAX: Final = 300
# With the waits above a bit more than an hour.
_NEWS_TRIES_MAX: Final = 20
# A mistake of ours does not mend itself; a database that is being restarted does, within minutes.
_MISTAKE_TRIES_MAX: Final = 10
# The database is away: look again this often.
_RECONNECT_SECONDS: Final = 2.0
# Every five minutes: each pass of the clean-up is bounded, and an evening with a cancelled show leaves many rows.
_FORGET_CRON: Final = "*/5 * * * *"
# What is looked at over days need not be looked at within seconds.
_SLOW_CRON: Final = "* * * * *"
# Four times a day, off the full hour at which everybody asks; a processor itself tries again for three days.
_CATCH_UP_CRON: Final = "17 */6 * * *"
# A week: also what came to nothing while an installation was down over a long weekend.
_CATCH_UP_DAYS: Final = 7


SlowPass = Callable[[], Awaitable[object]]


class JobFailed(Exception):  # noqa: N818 - says what happened
    """A job that people have to look at; its queue keeps it. Carries no text of the error: a database's message may quote an address."""


class TellJob(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    case: UUID
    version: int
    """of the case when somebody saw that there is something to tell"""


class ReplyJob(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    message: UUID


class AfterShowJob(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    case: UUID


class FollowJob(msgspec.Struct, frozen=True, kw_only=True):
    platform: UUID
    notice: UUID
    person: UUID
    seq: int
    """of the change that the letter was planned for"""


class Jobs:
    """One a process: consumes the queue in the process's own event loop, over a connection of its own to `dsn`.

    `slow`: bounded passes, each run once a minute by one process; `forgetting`: further passes of the clean-up.
    """

    def __init__(
        self,
        pool: Pool,
        dsn: str,
        *,
        post: Post,
        mailer: Mailer,
        codes: CodeLetters,
        texts: CodeTexts | None = None,
        identity: Identity,
        inbox: Inbox,
        slow: Mapping[str, SlowPass],
        forgetting: Sequence[SlowPass] = (),
    ) -> None:
        self._pool = pool
        self._dsn = dsn
        self._post = post
        self._mailer = mailer
        self._codes = codes
        self._texts = texts
        self._identity = identity
        self._inbox = inbox
        self._slow = slow
        self._forgetting = forgetting

    async def tell_waiting(self, most: int) -> int:
        """Enqueues a letter for each case whose customer has news and is not watching, and for who follows a show's notice; how many.

        Safe in every process at once.
        """
        return await jobs.tell(self._pool, most) + await NoticeStore(self._pool).tell(most)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes what is under way. A lost database is waited for."""
        while not stop.is_set():
            try:
                await self._consume(stop)
            except Exception as error:  # noqa: BLE001 - whatever ended it, the queue has to be taken up again
                log.error("jobs_interrupted", error=_kind(error))  # noqa: TRY400 - the library logs where
            if not stop.is_set():
                await _wait(stop, _RECONNECT_SECONDS)

    async def _consume(self, stop: asyncio.Event) -> None:
        async with jobs.open_queue(self._dsn) as queue:
            self._register(queue)
            ending = asyncio.create_task(_pass_on(stop, queue.shutdown))
            try:
                await queue.run(
                    dequeue_timeout=timedelta(seconds=DEQUEUE_SECONDS),
                    heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
                    batch_size=_BATCH,
                    max_concurrent_tasks=AT_ONCE_MAX,
                    shutdown_on_listener_failure=True,
                )
            finally:
                ending.cancel()

    def _register(self, queue: PgQueuer) -> None:
        works = (self.tell_customer, self.send_reply, self.send_code, self.send_text, self.ask_after_show, self.tell_follower)
        for name, work in ((one.__name__, one) for one in works):
            queue.entrypoint(name, on_failure="hold", accepts_context=False)(partial(_guarded, name, work))
        queue.schedule("forget_old", _FORGET_CRON, accepts_context=False)(partial(_on_schedule, self.forget_old))
        for name, slow in self._slow.items():
            queue.schedule(name, _SLOW_CRON, accepts_context=False)(partial(_on_schedule, slow))
        queue.schedule("catch_up", _CATCH_UP_CRON, accepts_context=False)(partial(_on_schedule, self.catch_up))

    # -------------------------------------------------------------------------------------------------- work

    async def tell_customer(self, payload: bytes, tries: int) -> None:
        """Writes to the customer of a case what there is to tell now. Raises Unavailable, OutcomeUnknown, TimeoutError: try again."""
        job = msgspec.json.decode(payload, type=TellJob)
        letter = await self._post.case_letter(job.platform, job.case, job.version)
        if letter is not None:
            await self._deliver(job.platform, letter, tries)

    async def send_reply(self, payload: bytes, tries: int) -> None:
        """Sends an agent's reply. Raises as tell_customer does."""
        job = msgspec.json.decode(payload, type=ReplyJob)
        letter = await self._post.reply_letter(job.platform, job.message)
        if letter is not None:
            await self._deliver(job.platform, letter, tries)

    async def ask_after_show(self, payload: bytes, tries: int) -> None:
        """Asks a customer a day after the show how it was. Raises as tell_customer does."""
        job = msgspec.json.decode(payload, type=AfterShowJob)
        letter = await self._post.after_show_letter(job.platform, job.case)
        if letter is not None:
            await self._deliver(job.platform, letter, tries)

    async def tell_follower(self, payload: bytes, tries: int) -> None:
        """Tells one who follows a show's notice. Raises as tell_customer does, but for an hour at most: then it is no news any more."""
        job = msgspec.json.decode(payload, type=FollowJob)
        mail = await self._post.notice_letter(job.platform, job.notice, job.person, job.seq)
        if mail is None:
            return
        try:
            async with asyncio.timeout(_SEND_SECONDS_MAX):
                await self._mailer.send(mail)
        except Declined as refused:
            log.info("notice_refused", notice=job.notice.hex, code=refused.code)
        except (Unavailable, OutcomeUnknown, TimeoutError):
            if tries < _NEWS_TRIES_MAX:
                raise
            log.info("notice_unreachable", notice=job.notice.hex)

    async def send_code(self, payload: bytes, _tries: int) -> None:
        """Sends a one-time code; one that has run out ends by itself, and an address that is refused shows nobody's code."""
        try:
            await self._codes.send_code(payload)
        except Declined as refused:
            log.info("code_refused", code=refused.code)

    async def send_text(self, payload: bytes, _tries: int) -> None:
        """Sends a one-time code by text, likewise. Where nobody sends texts any more there is nothing to do."""
        if self._texts is None:
            log.error("text_misconfigured", detail="a code was to go by text, and MAKEGOOD_TEXT is none")
            return
        try:
            await self._texts.send_text(payload)
        except Declined as refused:
            log.info("text_refused", code=refused.code)

    async def _deliver(self, platform: UUID, letter: CaseMail, tries: int) -> None:
        """Sends, and says so on the timeline. An address that refuses, or cannot be reached for a day, ends with an entry that says so."""
        kind, data = "customer_told", letter.told
        try:
            async with asyncio.timeout(_SEND_SECONDS_MAX):
                await self._mailer.send(letter.mail)
        except Declined as refused:
            kind, data = "mail_refused", _refused(letter, refused.code)
        except (Unavailable, OutcomeUnknown, TimeoutError):
            if tries < MAIL_TRIES_MAX:
                raise
            kind, data = "mail_refused", _refused(letter, "unreachable")
        await jobs.note_mail(self._pool, platform, letter.case, kind, data)
        log.info(kind, case_id=letter.case.hex, letter=letter.told["letter"])

    async def forget_old(self) -> None:
        """One pass of the clean-up of every platform: keys of requests, sessions, codes, counts, old news, the queue's log of old jobs."""
        await self._identity.forget_old()
        await idempotency.forget_old(self._pool)
        await jobs.forget_old(self._pool)
        await self._inbox.forget_old()
        for forget in self._forgetting:
            await forget()

    async def catch_up(self) -> None:
        """Asks the processors for what they could not deliver within the last week."""
        await self._inbox.catch_up(datetime.now(UTC) - timedelta(days=_CATCH_UP_DAYS))


async def _guarded(name: str, work: Callable[[bytes, int], Awaitable[None]], job: Job) -> None:
    """Runs one job; what may mend itself is tried again later, what does not is kept for people."""
    try:
        await work(job.payload or b"", job.attempts)
    except (Unavailable, OutcomeUnknown, TimeoutError) as failure:
        asked = failure.retry_after_seconds if isinstance(failure, Unavailable) else None
        if isinstance(failure, Unavailable) and failure.configuration:
            log.error("text_misconfigured" if name == "send_text" else "mail_misconfigured", detail=failure.detail)  # noqa: TRY400 - where it happened is plain
        raise RetryRequested(delay=timedelta(seconds=max(asked or 0.0, retry_seconds(job.attempts))), reason=_kind(failure)) from None
    except Exception as error:  # noqa: BLE001 - the queue has to hear of it without its text
        log.error("job_failed", job=name, error=_kind(error), tries=job.attempts)  # noqa: TRY400 - its text may quote an address
        if job.attempts >= _MISTAKE_TRIES_MAX:
            raise JobFailed(_kind(error)) from None
        raise RetryRequested(delay=timedelta(seconds=retry_seconds(job.attempts)), reason=_kind(error)) from None


async def _on_schedule(work: SlowPass, _schedule: Schedule) -> None:
    await work()


def _refused(letter: CaseMail, reason: str) -> dict[str, str]:
    return {name: letter.told[name] for name in ("letter", "wait") if name in letter.told} | {"reason": reason}


def retry_seconds(tries: int) -> float:
    """2, 4, 8 … 300 seconds; `tries` counts from 0."""
    return min(_RETRY_SECONDS_LAST, _RETRY_SECONDS_FIRST * 2.0 ** min(tries, 10))


def _kind(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


async def _pass_on(stop: asyncio.Event, shutdown: asyncio.Event) -> None:
    await stop.wait()
    shutdown.set()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
