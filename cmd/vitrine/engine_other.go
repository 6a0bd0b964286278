//go:build !linux

package main

import "vitrine.example/internal/sandbox"

// newEngine makes the sandbox of that name, nil where there is none. Here it
// says, when it is asked to run, that jobs need Linux.
func newEngine(name string) sandbox.Engine {
	if name == "embedded" {
		return new(sandbox.Embedded)
	}
	return nil
}
