# SPDX-License-Identifier: GPL-2.0-or-later
import multiprocessing as mp
import time
from multiprocessing import shared_memory

STEPS, WORKERS = 70, 3


def work(k, name, total, row, lock, barrier):
    block = shared_memory.SharedMemory(name)
    for i in range(STEPS):
        time.sleep(0.1)
        block.buf[k * 256 + i] = (block.buf[k * 256 + i - 1] * 7 + i + k) % 251
        with lock:
            total.value += block.buf[k * 256 + i]
        row[k] = i
        barrier.wait()
        if k == 0:
            print(i, total.value, list(row), flush=True)
        barrier.wait()
    block.close()


if __name__ == "__main__":
    mp.set_start_method("fork")
    block = shared_memory.SharedMemory(create=True, size=4096)
    total, row = mp.Value("q", 0), mp.Array("i", WORKERS)
    lock, barrier = mp.Lock(), mp.Barrier(WORKERS)
    workers = [
        mp.Process(target=work, args=(k, block.name, total, row, lock, barrier))
        for k in range(WORKERS)
    ]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    print(total.value, sum(block.buf), [w.exitcode for w in workers])
    block.close()
    block.unlink()
