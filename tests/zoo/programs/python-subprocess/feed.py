# SPDX-License-Identifier: GPL-2.0-or-later
import random
import subprocess as sp
import time

r = random.Random(12)
with open("counted.txt", "wb") as out:
    first = sp.Popen(["sed", "-u", "s/^/x/"], stdin=sp.PIPE, stdout=sp.PIPE)
    second = sp.Popen(["sort"], stdin=first.stdout, stdout=sp.PIPE)
    third = sp.Popen(["uniq", "-c"], stdin=second.stdout, stdout=out)
    first.stdout.close()
    second.stdout.close()
    for i in range(60):
        for _ in range(50):
            first.stdin.write(b"%d\n" % r.randrange(40))
        first.stdin.flush()
        said = sp.run(["expr", str(i), "*", "3"], stdout=sp.PIPE, check=False).stdout
        print(i, said.decode().strip(), flush=True)
        time.sleep(0.1)
    first.stdin.close()
    print(first.wait(), second.wait(), third.wait())
