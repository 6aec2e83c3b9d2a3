# SPDX-License-Identifier: GPL-2.0-or-later
import hashlib
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def work(k):
    text = str(k).encode()
    for _ in range(8):
        text = hashlib.pbkdf2_hmac("sha256", text, b"salt", 2000)
        time.sleep(0.05)
    return text.hex()[:16]


if __name__ == "__main__":
    with ProcessPoolExecutor(3) as processes, ThreadPoolExecutor(2) as threads:
        later = [threads.submit(work, -k) for k in range(1, 25)]
        for k, text in enumerate(processes.map(work, range(42))):
            print(k, text, flush=True)
        print([f.result()[:4] for f in later])
