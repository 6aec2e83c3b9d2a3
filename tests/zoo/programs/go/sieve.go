// SPDX-License-Identifier: GPL-2.0-or-later

// A sieve of goroutines, each of which lets pass what its prime does not divide.
package main

import (
	"fmt"
	"os"
	"time"
)

func numbers(to chan<- int) {
	for i := 2; ; i++ {
		to <- i
	}
}

func filter(from <-chan int, to chan<- int, prime int) {
	for i := range from {
		if i%prime != 0 {
			to <- i
		}
	}
}

func main() {
	file, err := os.Create("primes.txt")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	ch := make(chan int)
	go numbers(ch)
	tick := time.NewTicker(20 * time.Millisecond)
	sum := 0
	for i := 0; i < 350; i++ {
		<-tick.C
		prime := <-ch
		sum = (sum*31 + prime) % 1000003
		fmt.Println(i, prime, sum)
		fmt.Fprintln(file, prime)
		next := make(chan int)
		go filter(ch, next, prime)
		ch = next
	}
}
