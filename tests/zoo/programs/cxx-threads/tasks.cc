// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

static long collatz(unsigned seed)
{
	std::mt19937 random(seed);
	long steps = 0;

	std::this_thread::sleep_for(std::chrono::milliseconds(100));
	for (int i = 0; i < 2000; i++)
		for (unsigned long n = random() % 100000 + 1; n != 1; steps++)
			n = n % 2 ? 3 * n + 1 : n / 2;
	if (seed % 10 == 7)
		throw std::runtime_error("seven");
	return steps;
}

int main()
{
	std::ofstream file("steps.txt");
	std::map<long, unsigned> seen;

	for (unsigned round = 0; round < 65; round++) {
		std::vector<std::future<long>> futures;
		for (unsigned k = 0; k < 3; k++)
			futures.push_back(std::async(std::launch::async,
				collatz, round * 3 + k));
		for (auto &f : futures) {
			try {
				long steps = f.get();
				seen[steps % 100]++;
				std::cout << round << ' ' << steps << std::endl;
			} catch (const std::runtime_error &e) {
				std::cout << round << ' ' << e.what() << std::endl;
			}
		}
		file << round << ' ' << seen.size() << '\n';
	}
	return 0;
}
