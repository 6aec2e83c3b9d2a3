// SPDX-License-Identifier: GPL-2.0-or-later
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

async function main() {
	const file = fs.createWriteStream('lines.txt');
	const worker = new Worker(__filename);
	let hash = 'seed';
	for (let i = 0; i < 80; i++) {
		hash = await new Promise(resolve => {
			worker.once('message', resolve);
			worker.postMessage(hash);
		});
		file.write(`${i} ${hash}\n`);
		await fs.promises.appendFile('appended.txt', hash.slice(0, 8) + '\n');
		console.log(i, hash.slice(0, 16));
		await sleep(90);
	}
	await worker.terminate();
	file.end();
}

if (isMainThread)
	main();
else
	parentPort.on('message', text => parentPort.postMessage(
		crypto.pbkdf2Sync(text, 'salt', 2000, 32, 'sha256').toString('hex')));
