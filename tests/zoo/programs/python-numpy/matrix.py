# SPDX-License-Identifier: GPL-2.0-or-later
import time
import numpy as np

rng = np.random.default_rng(5)
a = rng.standard_normal((200, 200))
kept = np.lib.format.open_memmap("kept.npy", "w+", float, (80, 200))
x = np.ones(200)
for i in range(80):
    x = a @ x
    x /= np.linalg.norm(x)
    b = a[:60, :60] + i * np.eye(60)
    kept[i] = x
    print(i, f"{x[0]:.9f} {np.linalg.det(b / 20):.6e}", flush=True)
    time.sleep(0.1)
kept.flush()
print(np.round(np.linalg.eigvalsh(a + a.T)[:3], 8))
