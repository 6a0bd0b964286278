// Package shop knows what things cost.
package shop

import "fmt"

var prices = []struct {
	name  string
	cents int
}{{"tea", 250}, {"coffee", 320}, {"cake", 410}}

// Price says what n of something cost.
//
//go:noinline
func Price(name string, n int) string {
	for _, p := range prices {
		if p.name == name {
			return fmt.Sprintf("%d x %s: %.2f", n, name, float64(discount(p.cents*n))/100)
		}
	}
	return "not sold here"
}

//go:noinline
func discount(cents int) int {
	if cents > 1000 {
		return cents * 95 / 100
	}
	return cents
}
