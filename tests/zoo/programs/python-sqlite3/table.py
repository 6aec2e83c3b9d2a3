# SPDX-License-Identifier: GPL-2.0-or-later
import random
import sqlite3
import time

r = random.Random(2)
db = sqlite3.connect("table.db")
db.execute("create table t (k integer primary key, a integer, b text)")
for i in range(80):
    with db:
        db.executemany(
            "insert into t (a, b) values (?, ?)",
            [(r.randrange(1000), "%x" % r.getrandbits(80)) for _ in range(200)],
        )
        # In the middle of a transaction, too.
        time.sleep(0.05)
        db.execute("delete from t where a = ?", (i,))
    print(i, *db.execute("select count(*), sum(a), max(b) from t").fetchone(), flush=True)
    time.sleep(0.05)
db.execute("vacuum")
db.close()
