//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"io"
)

var errLinux = errors.New("sandbox: jobs run on Linux only: run them on a worker that has it")

// Enter does nothing here.
func Enter() {}

// Embedded is the engine that needs nothing but Linux.
type Embedded struct{ Cgroup string }

// Name is "embedded".
func (*Embedded) Name() string { return "embedded" }

// Check says that this is not Linux.
func (*Embedded) Check(context.Context) error { return errLinux }

// Run refuses: this is not Linux.
func (*Embedded) Run(context.Context, *Job, io.Writer, string) (Result, error) {
	return Result{}, errLinux
}
