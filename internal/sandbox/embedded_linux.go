package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Embedded is the engine that needs nothing but Linux 5.19 or later: namespaces,
// an own root, Landlock, seccomp, no capabilities, no network. It works as root
// and as an ordinary user, who must be allowed to make user namespaces.
type Embedded struct {
	// Cgroup is a directory of a cgroup v2 below which this process may make
	// groups with the controllers memory and pids (delegated to it). "" finds one
	// where this process is root; without any, process 1 of each sandbox watches.
	Cgroup string
}

// Name is "embedded".
func (*Embedded) Name() string { return "embedded" }

// Check runs a command that does nothing, behind all walls, and says which of
// them could not be put up.
func (e *Embedded) Check(ctx context.Context) error { return try(ctx, e) }

// Run runs the job; see [Engine].
func (e *Embedded) Run(ctx context.Context, job *Job, log io.Writer, outDir string) (Result, error) {
	r := &runner{engine: e.Name(), job: job, log: log, outDir: outDir, cgroup: e.Cgroup}
	res, err := r.run(ctx)
	if err != nil {
		return res, fmt.Errorf("sandbox embedded: %w", err)
	}
	return res, nil
}

// source is one file of the host that is sent inside.
type source struct {
	name string
	size int64
}

// open opens everything that the job brings, before anything is started.
func (j *Job) open() (o *orders, files []source, err error) {
	if err := j.Check(); err != nil {
		return nil, nil, err
	}
	o = &orders{Argv: j.Argv, Env: j.env(), Dir: j.Dir, Clock: j.Clock.Unix(), Hostname: j.Hostname,
		UID: j.UID, GID: j.GID, CPUs: j.CPUs, Limits: j.Limits}
	total := int64(0)
	add := func(name string) (int64, error) {
		info, err := os.Stat(name) // before opening: a pipe would block
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("not a regular file")
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, unwrapPath(err))
		}
		files = append(files, source{size: info.Size(), name: name})
		if total += info.Size(); total > j.Limits.Root {
			return 0, fmt.Errorf("layers and inputs have more than %d bytes, the limit on root", j.Limits.Root)
		}
		return info.Size(), nil
	}
	for i, l := range j.Root {
		order := layerOrder{Name: l.Tar, Dir: l.Dir, At: l.At}
		if l.Tar != "" {
			if order.Size, err = add(l.Tar); err != nil {
				return nil, nil, fmt.Errorf("layer %d: %w", i, err)
			}
		} else if info, err := os.Stat(l.Dir); err != nil || !info.IsDir() {
			return nil, nil, fmt.Errorf("layer %d: %s is not a directory that can be read", i, l.Dir)
		}
		o.Layers = append(o.Layers, order)
	}
	for _, in := range j.Inputs {
		size, err := add(in.File)
		if err != nil {
			return nil, nil, fmt.Errorf("input %s: %w", in.At, err)
		}
		o.Inputs = append(o.Inputs, inputOrder{At: in.At, Size: size, Executable: in.Executable})
	}
	return o, files, nil
}

// send writes orders and files into the sandbox. A file that is shorter than
// it was is an error; one that grew is cut.
func send(w io.Writer, o *orders, files []source) error {
	if err := o.writeTo(w); err != nil {
		return err
	}
	for _, s := range files {
		f, err := os.Open(s.name)
		if err != nil {
			return err
		}
		n, err := io.CopyN(w, f, s.size)
		f.Close()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s has %d bytes where it had %d a moment ago", s.name, n, s.size)
		} else if err != nil {
			return err
		}
	}
	return nil
}
