"""One transaction of the recorder, whichever way its rows take."""

from django.test import TransactionTestCase

from runs.models import Chunk, Run, Status
from runs.streaming.storing import FEW, Work, store
from tests.factories import make_run
from tests.people import make_user

ODD = ("", "NULL", "\\", '"quoted"', "'single'", "{a,b}", "%s", "😀\r\n", "\t\x1b[0m\n", ", ")


class StoreTests(TransactionTestCase):
    def setUp(self):
        owner = make_user("ada")
        held = {"status": Status.RUNNING, "executor": "us", "epoch": 2}
        self.runs = [make_run(owner, **held) for _ in range(2)]

    def work(self, run: Run, count: int, **fields) -> Work:
        rows = [
            (seq, seq * 1000, seq - 1, "v" if seq % 7 == 0 else "o", seq % 3,
             ODD[seq % len(ODD)], '{"a": "\\\\"}' if seq % 7 == 0 else None)
            for seq in range(1, count + 1)
        ]  # fmt: skip
        given = {"epoch": 2, "previous_seq": 0, "output_bytes": 9, "last_line": "it's\\"}
        return Work(run.pk, rows=rows, **given | fields)

    def stored(self, run: Run) -> list[tuple]:
        columns = ("seq", "t", "line", "stream", "task", "text", "data")
        return list(Chunk.objects.of(run.pk).values_list(*columns))

    def test_few_rows_and_many_are_stored_alike(self):
        for run, count in zip(self.runs, (FEW, FEW + 1), strict=True):
            work = self.work(run, count, dropped={"from_seq": 1}, offsets={"0:stdout": [1, 2]})
            self.assertEqual(store([work]), set())
            self.assertEqual(self.stored(run), work.rows)
            run.refresh_from_db()
            self.assertEqual((run.last_seq, run.output_bytes), (count, 9))
            self.assertEqual((run.last_line, run.dropped), ("it's\\", {"from_seq": 1}))
            self.assertEqual(run.offsets, {"0:stdout": [1, 2]})

    def test_a_run_that_is_not_ours_is_left_out_and_the_others_are_stored(self):
        ours, lost = self.runs
        for count in (1, FEW + 1):
            with self.subTest(count=count):
                previous = self.runs[0].last_seq
                mine = self.work(ours, count)
                mine.previous_seq, mine.rows = previous, [
                    (previous + row[0], *row[1:]) for row in mine.rows
                ]  # fmt: skip
                theirs = self.work(lost, count, epoch=1)
                self.assertEqual(store([theirs, mine]), {lost.pk})
                ours.refresh_from_db()
                self.assertEqual(ours.last_seq, previous + count)
                self.assertEqual(self.stored(lost), [])

    def test_of_lost_runs_alone_nothing_is_left_to_store(self):
        with self.assertNumQueries(0):
            self.assertEqual(store([]), set())

    def test_what_was_stored_already_is_neither_lost_nor_doubled(self):
        for run, count in zip(self.runs, (3, FEW + 1), strict=True):
            work = self.work(run, count)
            self.assertEqual([store([work]), store([work])], [set(), set()])
            self.assertEqual(self.stored(run), work.rows)
