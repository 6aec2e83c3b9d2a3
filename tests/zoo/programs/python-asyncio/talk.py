# SPDX-License-Identifier: GPL-2.0-or-later
import asyncio
import contextlib
import os


async def serve(reader, writer):
    total = 0
    while line := await reader.readline():
        total = (total * 31 + int(line)) % 1000003
        await asyncio.sleep(0.02)
        writer.write(b"%d\n" % total)
        await writer.drain()
    writer.close()


async def client(k, lines):
    reader, writer = await asyncio.open_unix_connection("socket")
    for i in range(60):
        writer.write(b"%d\n" % (i * k))
        lines[k].append(int(await reader.readline()))
        await asyncio.sleep(0.08)
    writer.close()


async def main():
    server = await asyncio.start_unix_server(serve, "socket")
    sorter = await asyncio.create_subprocess_exec(
        "sort", "-n", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    lines = [[] for _ in range(4)]
    await asyncio.gather(*(client(k, lines) for k in range(4)))
    for row in zip(*lines):
        print(*row)
        sorter.stdin.write(b"%d\n" % sum(row))
    out, _ = await sorter.communicate()
    print(out.split()[:10], sorter.returncode)
    server.close()
    # Python 3.13 removes it, if it is the same file.
    with contextlib.suppress(FileNotFoundError):
        os.unlink("socket")


asyncio.run(main())
