// SPDX-License-Identifier: GPL-2.0-or-later
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

public class Work {
	static long sum(int seed) throws InterruptedException {
		Random random = new Random(seed);
		List<Integer> list = new ArrayList<>();
		for (int i = 0; i < 20000; i++)
			list.add(random.nextInt(1000));
		Thread.sleep(200);
		return list.stream().mapToLong(x -> (long) x * x).sum();
	}

	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(3);
		long total = 0;
		try (PrintWriter file = new PrintWriter("sums.txt")) {
			for (int round = 0; round < 36; round++) {
				List<Future<Long>> sums = new ArrayList<>();
				for (int k = 0; k < 3; k++) {
					int seed = round * 3 + k;
					sums.add(pool.submit(() -> sum(seed)));
				}
				for (Future<Long> s : sums)
					total = total * 31 + s.get();
				System.out.println(round + " " + total);
				file.println(total);
			}
		}
		pool.shutdown();
	}
}
