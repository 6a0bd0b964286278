// A small program that uses what programs use: maps, closures, generics,
// interfaces, strings, tables, goroutines.
package main

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"example.test/prog/shop"
)

var greeting = "welcome"

var counts = map[string]int{"apples": 3, "pears": 5}

type shape interface{ area() int }

type square struct{ side int }

func (s square) area() int { return s.side * s.side }

type disc struct{ r int }

func (d *disc) area() int { return 355 * d.r * d.r / 113 }

//go:noinline
func total(shapes []shape) (n int) {
	for _, s := range shapes {
		n += s.area()
	}
	return n
}

//go:noinline
func check(code string) error {
	switch {
	case len(code) < 8:
		return errors.New("the code is too short")
	case strings.Count(code, "-") != 2:
		return fmt.Errorf("code %q: want two dashes", code)
	}
	return nil
}

//go:noinline
func largest[T int | float64](all []T) (m T) {
	for _, v := range all {
		m = max(m, v)
	}
	return m
}

//go:noinline
func primes(limit int) []int {
	small := [...]int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29}
	var out []int
	for _, p := range small {
		if p < limit {
			out = append(out, p)
		}
	}
	return out
}

//go:noinline
func admitted(user string, level int) bool {
	return level >= 3 && !strings.HasPrefix(user, "guest")
}

func main() {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	sort.Strings(names)
	done := make(chan string)
	go func() {
		defer close(done)
		for _, n := range names {
			done <- fmt.Sprintf("%s: %d", n, counts[n])
		}
	}()
	for line := range done {
		fmt.Println(greeting, line)
	}
	fmt.Println(total([]shape{square{4}, &disc{3}}), largest(primes(20)), largest([]float64{1.5, 2.25}))
	if err := check(strings.Join(os.Args[1:], " ")); err != nil && admitted("root", 4) {
		fmt.Fprintln(os.Stderr, "prog:", err)
	}
	fmt.Println(shop.Price("tea", 3))
}
