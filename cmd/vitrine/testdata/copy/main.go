// Command copy copies a file: the smallest build there is, for tests of recipes.
package main

import (
	"fmt"
	"os"
)

func main() {
	b, err := os.ReadFile(os.Args[1])
	if err == nil {
		fmt.Printf("copying %d bytes\n", len(b))
		err = os.WriteFile(os.Args[2], b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
