# SPDX-License-Identifier: GPL-2.0-or-later
import multiprocessing as mp
import random
import time


def work(k):
    r = random.Random(k)
    n = 0
    for _ in range(10):
        n += sum(r.randrange(1000) for _ in range(5000))
        time.sleep(0.05)
    return k, n


if __name__ == "__main__":
    mp.set_start_method("fork")
    with mp.Pool(3) as pool:
        for k, n in pool.imap(work, range(42)):
            print(k, n, flush=True)
