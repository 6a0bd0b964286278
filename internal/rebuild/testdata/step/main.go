// Command step is what the tests of rebuilds build with: it has no libraries.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	switch os.Args[1] {
	case "copy":
		b, err := os.ReadFile(os.Args[2])
		if err == nil {
			err = os.WriteFile(os.Args[3], b, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("copied", os.Getenv("SOURCE_DATE_EPOCH"), os.Getenv("WHO"))
	case "exit":
		n, _ := strconv.Atoi(os.Args[2])
		os.Exit(n)
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	}
}
