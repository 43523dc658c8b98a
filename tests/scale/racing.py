"""Many threads at the same rows of a cluster's PostgreSQL; prints what came of it as JSON.

python -m tests.scale.racing {claims|locks}, with the cluster's environment.
"""

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import django


def in_threads(*functions: Callable) -> list:
    """What each gives; all begin at the same moment, each with a connection of its own."""
    from django.db import connection

    found, barrier = [None] * len(functions), threading.Barrier(len(functions))

    def call(number: int) -> None:
        barrier.wait()
        try:
            found[number] = functions[number]()
        except Exception as error:
            found[number] = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=(n,)) for n in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def make_runs(count: int) -> list[int]:
    from django.contrib.auth import get_user_model

    from runs.kinds import parse_spec
    from runs.models import Run

    spec = parse_spec({"kind": "command", "program": "echo"})
    admin = get_user_model().objects.get(username="admin")
    return [Run.objects.launch(admin, spec).pk for _ in range(count)]


def claims() -> dict:
    """Four executors and the same runs: how many have each, of new and of expired ones."""
    from django.db.models.functions import Now

    from runs.models import Run

    pks = make_runs(100)
    counted = []
    for names in ("abcd", "efgh"):
        claiming = [
            lambda name=name: [pk for pk in pks if Run.objects.claim(pk, name, 60)]
            for name in names
        ]
        held = Counter(pk for mine in in_threads(*claiming) for pk in mine)
        counted.append((sorted(set(held.values())), len(held)))
        if len(counted) == 1:
            Run.objects.filter(pk__in=pks).update(lease_until=Now() - timedelta(seconds=1))
    late = sum(Run.objects.claim(pk, "late", 60) is not None for pk in pks)
    return {"new": counted[0], "expired": counted[1], "late": late}


def locks() -> dict:
    """Stores of two executors and heartbeats, over and over the same rows."""
    from runs.models import Run
    from runs.streaming.storing import FEW, Work, store

    pks = make_runs(40)
    for pk in pks:
        Run.objects.claim(pk, "one", 60)

    def storing(order: list[int], epoch: int) -> str:
        seq = 0
        # Few rows are stored in another way than many; both lock.
        for count in [1, 1 + FEW // len(order)] * 75:
            rows = [(seq + n, 0, 0, "o", 0, "x\n", None) for n in range(1, count + 1)]
            store([Work(pk, epoch, seq, rows, 2, "x") for pk in order])
            seq += count
        return "done"

    def renewing() -> str:
        for _ in range(150):
            Run.objects.renew("one", 60)
        return "done"

    # The second one's runs were taken from it: it stores nothing, and locks all the same.
    stores = (lambda: storing(pks, 1), lambda: storing(pks[::-1], 0))
    return {"ended": in_threads(*stores, renewing, renewing)}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "streamsite.settings")
    django.setup()
    print(json.dumps({"claims": claims, "locks": locks}[sys.argv[1]]()))
