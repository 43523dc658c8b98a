// What programs wrote to a terminal of 56 columns, byte for byte, and the rows a terminal
// emulator (pyte) shows of it: however the output is cut into chunks, the rows are the same.
async ({ load, equal }) => {
  const { makeScreen } = await load("terminal");

  const programs = {
    "pip, a download": {
      wrote: [
        "Collecting big==1.0\r\n",
        "  Downloading http://127.0.0.1:8000/big-1.0-py3-none-any.whl (1.5 MB)\r\n",
        "\x1b[?25l     \x1b[38;5;237m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[32m0.0/1.5 MB\x1b[0m \x1b[31m?\x1b[0m eta \x1b[36m-:--:--\x1b[0m\r",
        "\x1b[2K     \x1b[38;5;197m━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[38;5;237m╺\x1b[0m\x1b[38;5;237m━━━━━━━━━━━━━\x1b[0m \x1b[32m1.0/1.5 MB\x1b[0m \x1b[31m9.0 MB/s\x1b[0m eta \x1b[36m0:00:01\x1b[0m\r",
        "\x1b[2K     \x1b[38;5;197m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[38;5;197m╸\x1b[0m \x1b[32m1.5/1.5 MB\x1b[0m \x1b[31m6.5 MB/s\x1b[0m eta \x1b[36m0:00:01\x1b[0m\r",
        "\x1b[2K     \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[32m1.5/1.5 MB\x1b[0m \x1b[31m4.3 MB/s\x1b[0m eta \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[?25h",
      ],
      rows: [
        "Collecting big==1.0",
        "  Downloading http://127.0.0.1:8000/big-1.0-py3-none-any.whl (1.5 MB)",
        "     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 1.5/1.5 MB 4.3 MB/s eta 0:00:00",
      ],
    },
    "tqdm": {
      wrote: [
        "\r",
        "load:   0%|                      | 0/3 [00:00<?, ?it/s]\r",
        "load:  33%|████▋         | 1/3 [00:00<00:00, 47.58it/s]\r",
        "load:  67%|█████████▎    | 2/3 [00:00<00:00, 48.41it/s]\r",
        "load: 100%|██████████████| 3/3 [00:00<00:00, 48.70it/s]\r",
        "load: 100%|██████████████| 3/3 [00:00<00:00, 48.22it/s]\r\n",
        "done\r\n",
      ],
      rows: [
        "load: 100%|██████████████| 3/3 [00:00<00:00, 48.22it/s]",
        "done",
      ],
    },
    "tqdm, one inside another": {
      wrote: [
        "\r",
        "outer:   0%|                     | 0/2 [00:00<?, ?it/s]\r\n",
        "\r",
        "inner:   0%|                     | 0/2 [00:00<?, ?it/s]\x1b[A\r\n",
        "\r",
        "inner:  50%|######5      | 1/2 [00:00<00:00, 49.76it/s]\x1b[A\r\n",
        "\r",
        "inner: 100%|#############| 2/2 [00:00<00:00, 45.37it/s]\x1b[A\r\n",
        "\r",
        "                                                       \x1b[A\r",
        "                                                       \r",
        "finished 0\r\n",
        "\r",
        "outer:   0%|                     | 0/2 [00:00<?, ?it/s]\r",
        "outer:  50%|######5      | 1/2 [00:00<00:00, 22.65it/s]\r\n",
        "\r",
        "inner:   0%|                     | 0/2 [00:00<?, ?it/s]\x1b[A\r\n",
        "\r",
        "inner:  50%|######5      | 1/2 [00:00<00:00, 43.05it/s]\x1b[A\r\n",
        "\r",
        "inner: 100%|#############| 2/2 [00:00<00:00, 46.42it/s]\x1b[A\r\n",
        "\r",
        "                                                       \x1b[A\r",
        "                                                       \r",
        "finished 1\r\n",
        "\r",
        "outer:  50%|######5      | 1/2 [00:00<00:00, 22.65it/s]\r",
        "outer: 100%|#############| 2/2 [00:00<00:00, 22.61it/s]\r",
        "outer: 100%|#############| 2/2 [00:00<00:00, 22.60it/s]\r\n",
        "done\r\n",
      ],
      rows: [
        "finished 0",
        "finished 1",
        "outer: 100%|#############| 2/2 [00:00<00:00, 22.60it/s]",
        "done",
      ],
    },
    "tqdm, three at once": {
      wrote: [
        "\r",
        "b0:   0%|                        | 0/2 [00:00<?, ?it/s]\r\n",
        "\r",
        "b1:   0%|                        | 0/2 [00:00<?, ?it/s]\x1b[A\r\n",
        "\r\n",
        "\r",
        "b2:   0%|                        | 0/2 [00:00<?, ?it/s]\x1b[A\x1b[A\r",
        "b0:  50%|#######       | 1/2 [00:00<00:00, 3106.89it/s]\r\n",
        "\r",
        "b1:  50%|########        | 1/2 [00:00<00:00, 58.62it/s]\x1b[A\r\n",
        "\r\n",
        "\r",
        "b2:  50%|########        | 1/2 [00:00<00:00, 30.64it/s]\x1b[A\x1b[A\r",
        "b0: 100%|################| 2/2 [00:00<00:00, 37.89it/s]\r\n",
        "\r",
        "b1: 100%|################| 2/2 [00:00<00:00, 34.00it/s]\x1b[A\r\n",
        "\r\n",
        "\r",
        "b2: 100%|################| 2/2 [00:00<00:00, 28.89it/s]\x1b[A\x1b[A\r",
        "b0: 100%|################| 2/2 [00:00<00:00, 24.90it/s]\r\n",
        "\r",
        "b1: 100%|################| 2/2 [00:00<00:00, 24.89it/s]\r\n",
        "\r",
        "b2: 100%|################| 2/2 [00:00<00:00, 24.90it/s]\r\n",
        "end\r\n",
      ],
      rows: [
        "b0: 100%|################| 2/2 [00:00<00:00, 24.90it/s]",
        "b1: 100%|################| 2/2 [00:00<00:00, 24.89it/s]",
        "b2: 100%|################| 2/2 [00:00<00:00, 24.90it/s]",
        "end",
      ],
    },
    "rich, progress": {
      wrote: [
        "\x1b[?25l\r",
        "\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;237m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m  0%\x1b[0m \x1b[36m-:--:--\x1b[0m\r",
        "\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;237m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m  0%\x1b[0m \x1b[36m-:--:--\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;237m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m  0%\x1b[0m \x1b[36m-:--:--\x1b[0m\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;197m━━━━━━━━━━━━━━━━━\x1b[0m\x1b[38;5;237m╺\x1b[0m\x1b[38;5;237m━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m 50%\x1b[0m \x1b[36m-:--:--\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;197m━━━━━━━━\x1b[0m\x1b[38;5;197m╸\x1b[0m\x1b[38;5;237m━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m 25%\x1b[0m \x1b[36m-:--:--\x1b[0m\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;197m━━━━━━━━━━━━━━━━━\x1b[0m\x1b[38;5;237m╺\x1b[0m\x1b[38;5;237m━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m 50%\x1b[0m \x1b[36m0:00:01\x1b[0m\r",
        "\x1b[2K\x1b[1A\x1b[2Khalf \x1b[1mway\x1b[0m\r\n",
        "\x1b[31mDownload\x1b[0m \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;197m━━━━━━━━━━━━━━━━━\x1b[0m\x1b[38;5;237m╺\x1b[0m\x1b[38;5;237m━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m 50%\x1b[0m \x1b[36m0:00:01\x1b[0m\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;197m━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[38;5;197m╸\x1b[0m\x1b[38;5;237m━━━━━━━━\x1b[0m \x1b[35m 75%\x1b[0m \x1b[36m0:00:01\x1b[0m\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[31mDownload\x1b[0m \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[32mProcess\x1b[0m  \x1b[38;5;70m━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[35m100%\x1b[0m \x1b[36m0:00:00\x1b[0m\r\n",
        "\x1b[?25hdone\r\n",
      ],
      rows: [
        "half way",
        "Download ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100% 0:00:00",
        "Process  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100% 0:00:00",
        "done",
      ],
    },
    "rich, a table that grows and shrinks": {
      wrote: [
        "\x1b[?25l┏━━━┓\r\n",
        "┃\x1b[1m \x1b[0m\x1b[1mi\x1b[0m\x1b[1m \x1b[0m┃\r\n",
        "┡━━━┩\r\n",
        "│ 0 │\r\n",
        "└───┘\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K┏━━━┓\r\n",
        "┃\x1b[1m \x1b[0m\x1b[1mi\x1b[0m\x1b[1m \x1b[0m┃\r\n",
        "┡━━━┩\r\n",
        "│ 0 │\r\n",
        "│ 1 │\r\n",
        "│ 2 │\r\n",
        "└───┘\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K┏━━━┓\r\n",
        "┃\x1b[1m \x1b[0m\x1b[1mi\x1b[0m\x1b[1m \x1b[0m┃\r\n",
        "┡━━━┩\r\n",
        "│ 0 │\r\n",
        "└───┘\r",
        "\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K┏━━━┓\r\n",
        "┃\x1b[1m \x1b[0m\x1b[1mi\x1b[0m\x1b[1m \x1b[0m┃\r\n",
        "┡━━━┩\r\n",
        "│ 0 │\r\n",
        "└───┘\r\n",
        "\x1b[?25hafter\r\n",
      ],
      rows: [
        "┏━━━┓",
        "┃ i ┃",
        "┡━━━┩",
        "│ 0 │",
        "└───┘",
        "after",
      ],
    },
    "rich, wide characters": {
      wrote: [
        "\x1b[3m        Überblick        \x1b[0m\r\n",
        "┏━━━━━━━┳━━━━━━━━┳━━━━━━┓\r\n",
        "┃\x1b[1m \x1b[0m\x1b[1mName \x1b[0m\x1b[1m \x1b[0m┃\x1b[1m \x1b[0m\x1b[1m日本語\x1b[0m\x1b[1m \x1b[0m┃\x1b[1m \x1b[0m\x1b[1m   n\x1b[0m\x1b[1m \x1b[0m┃\r\n",
        "┡━━━━━━━╇━━━━━━━━╇━━━━━━┩\r\n",
        "│\x1b[36m \x1b[0m\x1b[36malpha\x1b[0m\x1b[36m \x1b[0m│\x1b[35m \x1b[0m\x1b[35m値    \x1b[0m\x1b[35m \x1b[0m│ 1 ✅ │\r\n",
        "│\x1b[36m \x1b[0m\x1b]8;id=10166886;https://example.org/x\x1b\\\x1b[36mlink\x1b[0m\x1b]8;;\x1b\\\x1b[36m \x1b[0m\x1b[36m \x1b[0m│\x1b[35m \x1b[0m\x1b[35mb     \x1b[0m\x1b[35m \x1b[0m│   22 │\r\n",
        "└───────┴────────┴──────┘\r\n",
        "\x1b[41mwarn\x1b[0m \x1b[38;5;208morange\x1b[0m \x1b[7mrev\x1b[0m\r\n",
      ],
      rows: [
        "        Überblick",
        "┏━━━━━━━┳━━━━━━━━┳━━━━━━┓",
        "┃ Name  ┃ 日本語 ┃    n ┃",
        "┡━━━━━━━╇━━━━━━━━╇━━━━━━┩",
        "│ alpha │ 値     │ 1 ✅ │",
        "│ link  │ b      │   22 │",
        "└───────┴────────┴──────┘",
        "warn orange rev",
      ],
    },
    "rich, a traceback": {
      wrote: [
        "\x1b[31m╭─\x1b[0m\x1b[31m─────\x1b[0m\x1b[31m \x1b[0m\x1b[1;31mTraceback \x1b[0m\x1b[1;2;31m(most recent call last)\x1b[0m\x1b[31m \x1b[0m\x1b[31m──────\x1b[0m\x1b[31m─╮\x1b[0m\r\n",
        "\x1b[31m│\x1b[0m in <module>:4                                  \x1b[31m│\x1b[0m\r\n",
        "\x1b[31m│\x1b[0m in f:3                                         \x1b[31m│\x1b[0m\r\n",
        "\x1b[31m╰────────────────────────────────────────────────╯\x1b[0m\r\n",
        "\x1b[1;91mZeroDivisionError: \x1b[0mdivision by zero\r\n",
      ],
      rows: [
        "╭────── Traceback (most recent call last) ───────╮",
        "│ in <module>:4                                  │",
        "│ in f:3                                         │",
        "╰────────────────────────────────────────────────╯",
        "ZeroDivisionError: division by zero",
      ],
    },
    "git, a diff": {
      wrote: [
        "\x1b[1mdiff --git a/f b/f\x1b[m\r\n",
        "\x1b[1mindex 422c2b7..0f7bc76 100644\x1b[m\r\n",
        "\x1b[1m--- a/f\x1b[m\r\n",
        "\x1b[1m+++ b/f\x1b[m\r\n",
        "\x1b[36m@@ -1,2 +1,2 @@\x1b[m\r\n",
        " a\x1b[m\r\n",
        "\x1b[31m-b\x1b[m\r\n",
        "\x1b[32m+\x1b[m\x1b[32mc\x1b[m\r\n",
      ],
      rows: [
        "diff --git a/f b/f",
        "index 422c2b7..0f7bc76 100644",
        "--- a/f",
        "+++ b/f",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
      ],
    },
    "git, a clone": {
      wrote: [
        "Cloning into 'clone'...\r\n",
        "remote: Enumerating objects: 3, done.\x1b[K\r\n",
        "remote: Counting objects:  33% (1/3)\x1b[K\r",
        "remote: Counting objects:  66% (2/3)\x1b[K\r",
        "remote: Counting objects: 100% (3/3)\x1b[K\r",
        "remote: Counting objects: 100% (3/3), done.\x1b[K\r\n",
        "remote: Total 3 (delta 0), reused 0 (delta 0), pack-reused 0\x1b[K\r\n",
        "Receiving objects:  33% (1/3)\r",
        "Receiving objects:  66% (2/3)\r",
        "Receiving objects: 100% (3/3)\r",
        "Receiving objects: 100% (3/3), done.\r\n",
      ],
      rows: [
        "Cloning into 'clone'...",
        "remote: Enumerating objects: 3, done.",
        "remote: Counting objects: 100% (3/3), done.",
        "remote: Total 3 (delta 0), reused 0 (delta 0), pack-reused 0",
        "Receiving objects: 100% (3/3), done.",
      ],
    },
    "ls": {
      wrote: [
        "\x1b[0m\x1b[01;34md\x1b[0m  f  \x1b[01;36ml\x1b[0m  test_it.py  \x1b[01;32mx.sh\x1b[0m  z.tar.gz\r\n",
      ],
      rows: [
        "d  f  l  test_it.py  x.sh  z.tar.gz",
      ],
    },
    "pytest": {
      wrote: [
        "\x1b[32m.\x1b[0m\x1b[31mF\x1b[0m\x1b[31m                                               [100%]\x1b[0m\r\n",
        "======================= FAILURES =======================\r\n",
        "\x1b[31m\x1b[1m_______________________ test_no ________________________\x1b[0m\r\n",
        "\r\n",
        "    \x1b[0m\x1b[94mdef\x1b[39;49;00m\x1b[90m \x1b[39;49;00m\x1b[92mtest_no\x1b[39;49;00m():\x1b[90m\x1b[39;49;00m\r\n",
        ">       \x1b[94massert\x1b[39;49;00m \x1b[94m1\x1b[39;49;00m == \x1b[94m2\x1b[39;49;00m\x1b[90m\x1b[39;49;00m\r\n",
        "\x1b[1m\x1b[31mE       assert 1 == 2\x1b[0m\r\n",
        "\r\n",
        "\x1b[1m\x1b[31mtest_it.py\x1b[0m:5: AssertionError\r\n",
        "\x1b[36m\x1b[1m=============== short test summary info ================\x1b[0m\r\n",
        "\x1b[31mFAILED\x1b[0m test_it.py::\x1b[1mtest_no\x1b[0m - assert 1 == 2\r\n",
        "\x1b[31m\x1b[31m\x1b[1m1 failed\x1b[0m, \x1b[32m1 passed\x1b[0m\x1b[31m in 0.28s\x1b[0m\x1b[0m\r\n",
      ],
      rows: [
        ".F                                               [100%]",
        "======================= FAILURES =======================",
        "_______________________ test_no ________________________",
        "",
        "    def test_no():",
        ">       assert 1 == 2",
        "E       assert 1 == 2",
        "",
        "test_it.py:5: AssertionError",
        "=============== short test summary info ================",
        "FAILED test_it.py::test_no - assert 1 == 2",
        "1 failed, 1 passed in 0.28s",
      ],
    },
    "apt": {
      wrote: [
        "\r",
        "Listing... 0%\r",
        "\r",
        "Listing... 0%\r",
        "\r",
        "Listing... 0%\r",
        "\r",
        "Listing... Done\r\r\n",
        "\x1b[32mbash\x1b[0m/oldstable 5.2.15-2+b13 amd64 [upgradable from: 5.2.15-2+b8]\r\n",
        "\x1b[33mN: \x1b[0mThere is 1 additional version. Please use the '-a' switch to see it\x1b[0m\r\n",
      ],
      rows: [
        "Listing... Done",
        "bash/oldstable 5.2.15-2+b13 amd64 [upgradable from: 5.2.15-2+b8]",
        "N: There is 1 additional version. Please use the '-a' switch to see it",
      ],
    },
    "a spinner": {
      wrote: [
        "\x1b[?25l\x1b[2K\x1b[1G\x1b[36m⠋\x1b[39m installing 0\x1b[2K\x1b[1G\x1b[36m⠙\x1b[39m installing 1\x1b[2K\x1b[1G\x1b[36m⠹\x1b[39m installing 2\x1b[2K\x1b[1G\x1b[32m✔\x1b[39m installed\r\n",
        "\x1b[?25h",
      ],
      rows: [
        "✔ installed",
      ],
    },
    "tput": {
      wrote: [
        "\x1b[H\x1b[2J\x1b[3Jone\r\n",
        "\x1b[6;11Hhere\x1b[3;1Htwo\r\n",
        "three\r\n",
        "\x1b(B\x1b[m\x1b[33myellow\r\n",
        "\x1b[K\x1b[A\x1b[Jend\r\n",
      ],
      rows: [
        "one",
        "",
        "two",
        "three",
        "end",
      ],
    },
  };

  function rowsOf(chunks) {
    const screen = makeScreen(), rows = [];
    let line = 0;
    chunks.forEach((text, index) => {
      rows.push(...screen.feed({ seq: index + 1, t: 0, line, stream: "stdout", task: 0, text, data: null }).added);
      line += text.split("\n").length - 1;
    });
    return rows;
  }

  function shown(rows) {
    const texts = rows.map(({ text }) => text.trimEnd());
    while (texts.at(-1) === "") texts.pop();
    return texts;
  }

  const whole = (rows) => rows.map(({ number, spans, ended, more }) => [number, spans, ended, more]);

  function inPiecesOf(text, length) {
    const characters = [...text];
    return Array.from({ length: Math.ceil(characters.length / length) },
      (_, n) => characters.slice(n * length, (n + 1) * length).join(""));
  }

  const tests = {};
  for (const [name, { wrote, rows }] of Object.entries(programs)) {
    const text = wrote.join("");
    tests[name] = () => {
      const once = rowsOf([text]);
      equal(shown(once), rows);
      for (const length of [1, 2, 7, 100]) equal(whole(rowsOf(inPiecesOf(text, length))), whole(once));
    };
  }
  return tests;
}
