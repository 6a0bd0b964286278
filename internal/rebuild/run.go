package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"vitrine.example/digest"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/sandbox"
	"vitrine.example/internal/strictjson"
	"vitrine.example/statement"
)

// Run builds the task once. What the steps print goes to log as it comes;
// outputs are written below outDir under their paths in the sandbox. Every end
// is an Attempt; only what is wrong with this machine's own files is an error.
func (r *Runner) Run(ctx context.Context, t *Task, log io.Writer, outDir string) (*Attempt, error) {
	a := &Attempt{Engine: r.Engine.Name(), Started: r.now()}
	if t.Job == nil {
		return a.failed(r.now(), statement.ReasonRecipe, errors.New("the order has no job")), nil
	}
	dir, err := os.MkdirTemp(r.Dir, "rebuild-*")
	if err != nil {
		return nil, fmt.Errorf("rebuild: making a directory for the job: %w", err)
	}
	defer os.RemoveAll(dir)
	job, err := r.prepare(ctx, t, dir)
	if err != nil {
		return a.failed(r.now(), because(ctx, statement.ReasonInputs), err), nil
	}
	r.tell(StageRun, 0, -1)
	res, err := r.Engine.Run(ctx, job, log, outDir)
	if err != nil {
		return a.failed(r.now(), because(ctx, statement.ReasonEngine), err), nil
	}
	a.Exit = res.Exit
	a.Usage = Usage{Wall: res.Usage.Wall.Milliseconds(), CPU: res.Usage.CPU.Milliseconds(), Memory: res.Usage.Memory, Disk: res.Usage.Disk}
	if !res.OK() {
		return a.failed(r.now(), statement.Reason(res.Reason), ended(&res)), nil
	}
	a.Outputs = outputs(res.Outputs)
	if a.Output, err = OutputDigest(a.Outputs); err != nil {
		return nil, err
	}
	a.Finished = r.now()
	return a, nil
}

func (r *Runner) now() time.Time { return r.Now().UTC().Truncate(time.Second) }

func (r *Runner) tell(stage string, done, total int64) {
	if r.Progress != nil {
		r.Progress(stage, done, total)
	}
}

// because is the reason, unless the caller ended it.
func because(ctx context.Context, reason statement.Reason) statement.Reason {
	if ctx.Err() != nil {
		return statement.ReasonCancelled
	}
	return reason
}

// ended says in words how a command failed.
func ended(res *sandbox.Result) error {
	s := string(res.Reason)
	switch res.Reason {
	case sandbox.Exited:
		s = fmt.Sprintf("a step ended with status %d", res.Exit)
	case sandbox.Signalled:
		s = fmt.Sprintf("a step was ended by signal %d", res.Exit-128)
	}
	if res.Detail != "" {
		s += ": " + res.Detail
	}
	return errors.New(s)
}

// failed ends the attempt.
func (a *Attempt) failed(now time.Time, reason statement.Reason, err error) *Attempt {
	a.Finished, a.Reason, a.Detail = now, reason, OneLine(err.Error())
	return a
}

// maxDetail bounds what an attempt says (docs/spec/rebuild.md).
const maxDetail = 1024

// OneLine makes one printable line of at most 1,024 bytes, which a statement
// takes as the detail of an attempt.
func OneLine(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))), " ")
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail-3], "") + "…"
}

// limits are those of a recipe as an engine takes them.
func limits(l recipe.Limits) sandbox.Limits {
	out := sandbox.DefaultLimits()
	out.Memory, out.Disk, out.Root = int64(l.Memory), int64(l.Disk), int64(l.Root)
	out.Time, out.LogBytes, out.OutputBytes, out.Processes = time.Duration(l.Time), int64(l.Log), int64(l.Output), l.Processes
	out.CPUTime = 4 * out.Time
	return out
}

// outputs are those of an engine as we keep them.
func outputs(in []sandbox.Output) []Output {
	out := make([]Output, 0, len(in))
	for _, o := range in {
		x := Output{Path: o.Path, Mode: posix(o.Mode)}
		switch {
		case o.Mode.IsDir():
			x.Type = "directory"
		case o.Mode&fs.ModeSymlink != 0:
			x.Type, x.Link, x.Mode = "link", o.Link, 0o777
		default:
			x.Type, x.Size, x.SHA256 = "file", o.Size, &o.SHA256
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Output) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func posix(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for _, b := range []struct {
		have fs.FileMode
		bit  uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.have != 0 {
			mode |= b.bit
		}
	}
	return mode
}

// OutputDigest is the digest of all outputs of an attempt together: the SHA-256
// of their list in canonical JSON (docs/spec/recipe.md, "Output digest"). The
// same job gives the same on every engine, or the build is not reproducible.
func OutputDigest(list []Output) (digest.Digest, error) {
	b, err := strictjson.Canonical(list)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("rebuild: digest of outputs: %w", err)
	}
	return digest.Of(b), nil
}

// at is where an output lies below outDir.
func at(outDir, path string) string { return filepath.Join(outDir, filepath.FromSlash(path)) }
