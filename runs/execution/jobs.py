"""Jobs of procrastinate, on PostgreSQL only: each says that some run waits to be carried.

Which run that is, who carries it and whether it is carried again is decided on the
runs' rows. So a job that comes twice, late or for a run that is gone does no harm, and
neither does one that is lost: every worker looks for waiting runs itself.
"""

import asyncio
import logging
from datetime import timedelta

from django.db.models.functions import Now
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateWorker
from procrastinate.jobs import Status

from ..streaming.retention import retain
from .executor import Executor

log = logging.getLogger(__name__)

QUEUE = "runs"
AGAIN_SECONDS = 1.0
# Of the jobs that are over, for how long those are kept that people may want to see.
KEPT_HOURS = 24
# Thrice the time between two heartbeats of procrastinate's workers.
ALIVE_SECONDS = 30

_executor: Executor | None = None


@app.task(name="runs.carry", queue=QUEUE)
async def carry(run: int) -> None:
    """Carry the run whose turn it is, to its end; `run` is the pk of the one that is new."""
    if _executor:
        await _executor.carry_next()


@app.periodic(cron="*/10 * * * *")
@app.task(name="runs.clean_jobs", queue=QUEUE, queueing_lock="clean_jobs", pass_context=True)
async def clean_jobs(context, timestamp: int) -> None:
    """Remove the rows of jobs that are over, and of workers that are gone."""
    await app.job_manager.delete_old_jobs(
        nb_hours=KEPT_HOURS,
        # Those of a worker that was stopped count as aborted.
        include_failed=True, include_cancelled=True, include_aborted=True,
    )  # fmt: skip
    await app.job_manager.prune_stalled_workers(ALIVE_SECONDS)
    for job in await app.job_manager.get_stalled_jobs():
        # Its run is somebody's by its lease; the row only has to end.
        await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)


@app.periodic(cron="7 * * * *")
@app.task(name="runs.retain", queue=QUEUE, queueing_lock="retain")
async def delete_what_is_due(timestamp: int) -> None:
    """Retention, in one worker; what it leaves when it is stopped the next one goes on with."""
    await retain()


def defer(run_pk: int) -> None:
    """In the caller's transaction, so that the job is there if and only if the run is."""
    carry.defer(run=run_pk)


def where() -> str:
    """ "workers" if there are any that live, else "none"."""
    alive = ProcrastinateWorker.objects.filter(
        last_heartbeat__gt=Now() - timedelta(seconds=ALIVE_SECONDS)
    )
    return "workers" if alive.exists() else "none"


async def work(executor: Executor, concurrency: int) -> None:
    """Hand this process's share of the jobs to the executor until cancelled."""
    global _executor
    _executor = executor
    try:
        while True:
            try:
                await _fetch(concurrency)
            except Exception:
                log.exception("The queue failed, trying again; waiting runs are looked for anyway")
            # It also returns when the database is restarted.
            await asyncio.sleep(AGAIN_SECONDS)
    finally:
        _executor = None


async def _fetch(concurrency: int) -> None:
    with app.replace_connector(app.connector.get_worker_connector()) as ours:
        async with ours.open_async():
            await ours.run_worker_async(
                queues=[QUEUE], concurrency=concurrency, install_signal_handlers=False,
                shutdown_graceful_timeout=0, delete_jobs="successful",
            )  # fmt: skip
