//go:build linux

// Command attack does what a hostile build would do. Each attack is a name on
// its command line; each step of it prints "blocked STEP: why" or "got STEP".
package main

import (
	"fmt"
	"os"
	"sort"
)

var attacks = map[string]func(args []string){}

func main() {
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		names := []string{}
		for n := range attacks {
			names = append(names, n)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "usage: attack NAME ARG...; names:", names)
		os.Exit(2)
	}
	attacks[os.Args[1]](os.Args[2:])
	fmt.Println("end")
}

// try makes one step.
func try(step string, err error) {
	if err != nil {
		fmt.Printf("blocked %s: %v\n", step, err)
	} else {
		fmt.Printf("got %s\n", step)
	}
}

// say prints a fact that the test looks at.
func say(key string, value any) { fmt.Printf("%s=%v\n", key, value) }
