package main

import "vitrine.example/internal/sandbox"

// newEngine makes the sandbox of that name, nil where there is none.
func newEngine(name string) sandbox.Engine {
	switch name {
	case "embedded":
		return new(sandbox.Embedded)
	case "gvisor":
		return new(sandbox.GVisor)
	}
	return nil
}
