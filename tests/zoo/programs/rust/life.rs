// SPDX-License-Identifier: GPL-2.0-or-later
// Conway's game of life, each quarter of the field in a thread of its own.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, RwLock, mpsc};
use std::thread;
use std::time::Duration;

const N: usize = 128;
type Field = Vec<Vec<bool>>;

fn alive(f: &Field, y: usize, x: usize) -> bool {
    let mut n = 0;
    for dy in [N - 1, 0, 1] {
        for dx in [N - 1, 0, 1] {
            if (dy, dx) != (0, 0) && f[(y + dy) % N][(x + dx) % N] {
                n += 1;
            }
        }
    }
    n == 3 || (n == 2 && f[y][x])
}

fn main() -> std::io::Result<()> {
    let mut seed: u32 = 15;
    let field: Field = (0..N)
        .map(|_| {
            (0..N)
                .map(|_| {
                    seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
                    seed >> 30 == 0
                })
                .collect()
        })
        .collect();
    let field = Arc::new(RwLock::new(field));
    let (to_main, results) = mpsc::channel();
    let mut orders = Vec::new();
    for k in 0..4 {
        let (order, orders_of_k) = mpsc::channel::<()>();
        let (field, to_main) = (field.clone(), to_main.clone());
        orders.push(order);
        thread::spawn(move || {
            for () in orders_of_k {
                let rows: Field = {
                    let f = field.read().unwrap();
                    (k * N / 4..(k + 1) * N / 4)
                        .map(|y| (0..N).map(|x| alive(&f, y, x)).collect())
                        .collect()
                };
                to_main.send((k, rows)).unwrap();
            }
        });
    }
    let mut file = BufWriter::new(File::create("life.txt")?);
    for i in 0..90 {
        for o in &orders {
            o.send(()).unwrap();
        }
        let mut parts: Vec<_> = (0..4).map(|_| results.recv().unwrap()).collect();
        parts.sort_by_key(|p| p.0);
        let next: Field = parts.into_iter().flat_map(|p| p.1).collect();
        let n = next.iter().flatten().filter(|c| **c).count();
        println!("{i} {n}");
        writeln!(file, "{}", next[0].iter().map(|c| if *c { '#' } else { '.' }).collect::<String>())?;
        *field.write().unwrap() = next;
        thread::sleep(Duration::from_millis(80));
    }
    file.flush()
}
