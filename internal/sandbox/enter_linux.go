package sandbox

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// The names under which the own binary is started again.
const (
	argInit = "vitrine-sandbox-init" // first process inside: makes the walls, then watches
	argWall = "vitrine-sandbox-wall" // gives up what is left of power, then becomes the command
)

// argHold keeps a user namespace for as long as its stdin is open.
const argHold = "vitrine-sandbox-hold"

// Descriptors of the first process inside.
const (
	fdOrders = 3 // pipe: orders, layers, inputs
	fdNews   = 4 // packets to the process outside
	fdFirst  = 5 // detached mounts of directory layers
)

// Enter must be the first thing in main, and in TestMain of tests that use an
// engine. It returns at once, except in the processes that the engines start.
func Enter() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case argInit:
		runtime.LockOSThread()
		os.Exit(first())
	case argHold:
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	case argWall:
		runtime.LockOSThread()
		os.Exit(wall())
	}
}

// keepOut marks all descriptors from the first on to be closed by exec: what
// leaked into this process from its parents goes no further.
func keepOut(first uint) error {
	if err := unix.CloseRange(first, ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("closing inherited descriptors: %w", err)
	}
	return nil
}
