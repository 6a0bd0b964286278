package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/recipe/layer"
	"vitrine.example/internal/sandbox"
)

// prepare takes what goes in out of the store, checked, and makes of it what an
// engine takes: one tar file as the root, and single files.
func (r *Runner) prepare(ctx context.Context, t *Task, dir string) (*sandbox.Job, error) {
	p := &preparation{r: r, ctx: ctx, dir: dir, have: map[digest.Digest]string{}}
	for _, c := range t.Job.Needs() {
		p.total += c.Size
	}
	root := filepath.Join(dir, "root.tar")
	if err := p.root(t, root); err != nil {
		return nil, err
	}
	argv, env, work := t.Job.Command()
	job := &sandbox.Job{
		Root: []sandbox.Layer{{Tar: root, At: "/"}}, Argv: argv, Env: env, Dir: work,
		Clock: t.Job.Clock, Hostname: t.Job.Hostname, UID: t.Job.UID, GID: t.Job.GID, CPUs: t.Job.CPUs,
		Limits: limits(t.Limits), Outputs: t.Job.Outputs,
	}
	for _, in := range t.Job.Inputs {
		path, err := p.file(recipe.Content{SHA256: in.SHA256, Size: in.Size})
		if err != nil {
			return nil, err
		}
		job.Inputs = append(job.Inputs, sandbox.Input{At: in.At, File: path, Executable: in.Executable})
	}
	return job, nil
}

// preparation is what prepare knows so far.
type preparation struct {
	r           *Runner
	ctx         context.Context
	dir         string
	have        map[digest.Digest]string // files in dir
	done, total int64
}

// root writes the layers and the recipe's own files into one tar file.
func (p *preparation) root(t *Task, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := layer.New(p.ctx, f, t.Job.Clock, int64(t.Limits.Root))
	// Directories and links first, so that /bin -> usr/bin is there before what
	// lies in /bin; files last, so that they count.
	if err := files(w, t.Job, true); err != nil {
		return err
	}
	for _, l := range t.Job.Root {
		if err := p.layer(w, &l); err != nil {
			return fmt.Errorf("unpacking %s at %s: %w", l.SHA256, l.At, err)
		}
	}
	if err := files(w, t.Job, false); err != nil {
		return err
	}
	return w.Close()
}

// files writes the recipe's own directories and links, or its files.
func files(w *layer.Writer, j *recipe.Job, below bool) error {
	for _, x := range j.Files {
		if (x.Link != "" || strings.HasSuffix(x.At, "/")) != below {
			continue
		}
		if err := w.File(x.At, x.Text, x.Link, x.Executable); err != nil {
			return err
		}
	}
	return nil
}

func (p *preparation) layer(w *layer.Writer, l *recipe.Layer) error {
	path, err := p.file(recipe.Content{SHA256: l.SHA256, Size: l.Size})
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.Add(string(l.Form), f, l.Size, l.At, l.Strip)
}

// file takes content out of the store.
func (p *preparation) file(c recipe.Content) (path string, err error) {
	if path, ok := p.have[c.SHA256]; ok {
		return path, nil
	}
	r, in, err := p.r.Store.Open(p.ctx, c.SHA256)
	if errors.Is(err, content.ErrUnknown) {
		return "", fmt.Errorf("%w: %s is not in the content store: run vitrine recipe fetch", ErrInputs, c.SHA256)
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInputs, err)
	}
	defer r.Close()
	if in.Size != c.Size {
		return "", fmt.Errorf("%w: %s has %d bytes, and the recipe says %d", ErrInputs, c.SHA256, in.Size, c.Size)
	}
	path = filepath.Join(p.dir, strconv.Itoa(len(p.have)))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	if _, err = io.Copy(f, r); err != nil {
		err = fmt.Errorf("%w: %w", ErrInputs, err)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	p.have[c.SHA256] = path
	p.done += c.Size
	p.r.tell(StageInputs, p.done, p.total)
	return path, nil
}
