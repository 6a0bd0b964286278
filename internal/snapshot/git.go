package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository is a git repository at its commit HEAD.
type repository struct {
	dir    string // absolute, without links
	commit string
	bare   bool
	lim    Limits
}

// openGit finds HEAD and refuses a work tree that differs from it.
func openGit(ctx context.Context, path string, lim Limits) (*repository, error) {
	dir, err := filepath.Abs(path)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	r := &repository{dir: dir, lim: lim}
	if err == nil {
		err = r.inspect(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", path, err)
	}
	return r, nil
}

func (r *repository) inspect(ctx context.Context) error {
	bare, err := r.output(ctx, "rev-parse", "--is-bare-repository")
	if err != nil {
		return err
	}
	r.bare = bare == "true"
	if r.commit, err = r.output(ctx, "rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"); err != nil {
		return fmt.Errorf("%w: is there a commit yet?", err)
	}
	return r.clean(ctx)
}

func (r *repository) Kind() Kind     { return Git }
func (r *repository) Commit() string { return r.commit }
func (r *repository) Total() int64   { return -1 }

// clean refuses uncommitted changes, as the snapshot would not hold them and
// the artifacts may have been built with them.
func (r *repository) clean(ctx context.Context) error {
	if r.bare {
		return nil
	}
	out, err := r.output(ctx, "status", "--porcelain=v1", "--untracked-files=normal", "--ignore-submodules=none")
	if err != nil || out == "" {
		return err
	}
	first, _, more := strings.Cut(out, "\n")
	if more {
		first += " …"
	}
	return fmt.Errorf("%w %.12s (%.200q): commit, ignore or remove what changed, or release the tree as kind directory",
		ErrDirty, r.commit, first)
}

// command prepares git with everything off that could reach out of the
// repository: no other repository from the environment or above, no network,
// no hooks, no replaced objects, no prompt. The repository's own configuration
// holds, as it does for every git command that its owner runs in it.
func (r *repository) command(ctx context.Context, args ...string) *exec.Cmd {
	base := []string{"-C", r.dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=true"}
	cmd := exec.CommandContext(ctx, "git", append(base, args...)...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") || strings.HasPrefix(kv, "GIT_CONFIG_") || strings.HasPrefix(kv, "GIT_EXEC_PATH=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_CEILING_DIRECTORIES="+filepath.Dir(r.dir),
		"GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1",
		"GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat")
	return cmd
}

// output runs a short command and returns what it printed, at most 64 KiB of it.
func (r *repository) output(ctx context.Context, args ...string) (string, error) {
	cmd := r.command(ctx, args...)
	var out, errs clipped
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", explain(args[0], err, &errs)
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

// explain turns the failure of a git command into an error for people.
func explain(command string, err error, errs *clipped) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("git is needed to read a repository: install it (apt-get install git), or release an archive: %w", err)
	}
	said, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n")
	return fmt.Errorf("git %s: %w: %.300q", command, err, said)
}

// clipped keeps the first 64 KiB of what is written.
type clipped struct{ bytes.Buffer }

func (c *clipped) Write(p []byte) (int, error) {
	if room := 64<<10 - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// WriteTo writes the tree of the commit. Every object is hashed on the way, so
// that the snapshot is what the commit ID names even where the repository is damaged.
func (r *repository) WriteTo(ctx context.Context, w io.Writer, progress func(int64)) (Summary, error) {
	s := newSink(ctx, w, r.lim, progress)
	if err := r.write(ctx, s); err != nil {
		return s.sum, err
	}
	return s.close()
}

func (r *repository) write(ctx context.Context, s *sink) (err error) {
	objs, err := r.objects(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objs.close()) }()
	c, err := objs.commit(r.commit)
	if err != nil {
		return err
	}
	s.tar.mtime = c.time
	t := &treeWriter{repo: r, objs: objs, sink: s}
	return t.tree(c.tree, "")
}
