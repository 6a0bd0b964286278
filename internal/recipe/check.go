package recipe

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// check returns the first key that is wrong, and how.
func (r *Recipe) check() (string, error) {
	if r.Version != 1 {
		return "version", fmt.Errorf("%d, want 1: this program knows no other", r.Version)
	}
	m := machine{r.Clock, r.Hostname, r.UID, r.GID, r.CPUs, r.Env, r.Shell}
	if key, err := m.check(); err != nil {
		return key, err
	}
	if key, err := r.Limits.check(); err != nil {
		return "limits." + key, err
	}
	for _, check := range []func() (string, error){r.checkInputs, r.checkFiles, r.checkSteps, r.checkOutputs} {
		if key, err := check(); err != nil {
			return key, err
		}
	}
	return "", nil
}

// machine is what recipe and job both say of the machine.
type machine struct {
	clock    time.Time
	hostname string
	uid, gid int
	cpus     int
	env      []string
	shell    string
}

// maxID bounds user and group.
const maxID = 65_535

func (m *machine) check() (string, error) {
	switch {
	case m.clock.IsZero():
		return "clock", errors.New("missing: give the time of the release, like 2026-03-01T12:00:00Z")
	case m.clock.Nanosecond() != 0 || m.clock.Year() < 1980 || m.clock.Year() > 2400:
		return "clock", fmt.Errorf("%s, want whole seconds from 1980 on", m.clock.Format(time.RFC3339Nano))
	case m.hostname == "" || len(m.hostname) > 64 || strings.ContainsFunc(m.hostname, notHost):
		return "hostname", fmt.Errorf("%.80q, want 1 to 64 letters, digits, dots and hyphens", m.hostname)
	case m.uid < 0 || m.uid > maxID:
		return "uid", fmt.Errorf("%d, want 0 to %d", m.uid, maxID)
	case m.gid < 0 || m.gid > maxID:
		return "gid", fmt.Errorf("%d, want 0 to %d", m.gid, maxID)
	case m.cpus < 1 || m.cpus > 256:
		return "cpus", fmt.Errorf("%d, want 1 to 256", m.cpus)
	case m.shell != "" && !absolute(m.shell):
		return "shell", fmt.Errorf("%.80q is not an absolute path", m.shell)
	}
	return "env", checkEnv(m.env)
}

func notHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-'
}

func checkEnv(env []string) error {
	if len(env) > MaxWords {
		return fmt.Errorf("%d variables, at most %d are allowed", len(env), MaxWords)
	}
	seen := map[string]bool{}
	for _, kv := range env {
		k, v, ok := strings.Cut(kv, "=")
		switch {
		case !ok || !isVariable(k):
			return fmt.Errorf("%.80q is not NAME=VALUE with a name of letters, digits and _", kv)
		case seen[k]:
			return fmt.Errorf("%s stands there twice: leave one out", k)
		case k == "SOURCE_DATE_EPOCH":
			return errors.New("SOURCE_DATE_EPOCH is set from clock: leave it out")
		}
		if err := checkWord(v); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		seen[k] = true
	}
	return nil
}

func isVariable(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func checkWord(s string) error {
	switch {
	case len(s) > MaxScript:
		return fmt.Errorf("%d bytes, at most %d are allowed", len(s), MaxScript)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return errors.New("not UTF-8, or with a zero byte")
	}
	return nil
}

// absolute reports clean absolute paths that belong to the job.
func absolute(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && len(p) < 4096 && utf8.ValidString(p) && !strings.ContainsFunc(p, isControl) && !isOurs(p)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isOurs reports paths that belong to the sandbox.
func isOurs(p string) bool {
	return slices.ContainsFunc([]string{"/proc", "/dev", "/sys"}, func(dir string) bool { return within(p, dir) })
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

func errPath(p string) error {
	return fmt.Errorf("%.80q: want a clean absolute path, like /src, outside /proc, /dev and /sys", p)
}

func (r *Recipe) checkFiles() (string, error) {
	if len(r.Files) > MaxFiles {
		return "file", fmt.Errorf("%d of them, at most %d are allowed", len(r.Files), MaxFiles)
	}
	for i := range r.Files {
		if key, err := r.Files[i].check(); err != nil {
			return fmt.Sprintf("file.%d.%s", i, key), err
		}
	}
	return "", nil
}

func (f *File) check() (string, error) {
	dir := len(f.At) > 1 && strings.HasSuffix(f.At, "/")
	switch {
	case !absolute(strings.TrimSuffix(f.At, "/")) || f.At == "/":
		return "at", errPath(f.At)
	case f.Text != "" && f.Link != "":
		return "link", errors.New("beside text: a file is one of both")
	case dir && (f.Text != "" || f.Link != "" || f.Executable):
		return "at", errors.New("a directory (with a slash at its end) has nothing else")
	case f.Link != "" && f.Executable:
		return "executable", errors.New("a link is not executable: leave it out")
	case len(f.Text) > MaxText:
		return "text", fmt.Errorf("%d bytes, at most %d are allowed: make it an input", len(f.Text), MaxText)
	case len(f.Link) > 4095 || !utf8.ValidString(f.Link) || strings.ContainsFunc(f.Link, isControl):
		return "link", fmt.Errorf("%.80q cannot be the target of a link", f.Link)
	case !utf8.ValidString(f.Text):
		return "text", errors.New("not UTF-8: make it an input")
	}
	return "", nil
}

func (r *Recipe) checkSteps() (string, error) {
	key, err := checkSteps(r.Steps)
	if err == nil && len(r.Steps) > 1 {
		j := Job{Steps: r.Steps}
		if n := len(j.script()); n > MaxScript {
			return "step", fmt.Errorf("all steps take %d bytes, at most %d are allowed: put them into a script in the source", n, MaxScript)
		}
	}
	return key, err
}

func checkSteps(steps []Step) (string, error) {
	if len(steps) == 0 || len(steps) > MaxSteps {
		return "step", fmt.Errorf("%d of them, want 1 to %d", len(steps), MaxSteps)
	}
	for i, s := range steps {
		if key, err := s.check(); err != nil {
			return fmt.Sprintf("step.%d.%s", i, key), err
		}
	}
	return "", nil
}

func (s *Step) check() (string, error) {
	switch {
	case len(s.Run) == 0 || len(s.Run) > MaxWords:
		return "run", fmt.Errorf("%d words, want 1 to %d", len(s.Run), MaxWords)
	case !absolute(s.Run[0]):
		return "run", fmt.Errorf("%.80q: the first word must be the absolute path of a program, like /bin/sh", s.Run[0])
	case !absolute(s.Dir):
		return "dir", errPath(s.Dir)
	}
	for _, w := range s.Run {
		if err := checkWord(w); err != nil {
			return "run", err
		}
	}
	return "env", checkEnv(s.Env)
}

func (r *Recipe) checkOutputs() (string, error) {
	if len(r.Outputs) == 0 || len(r.Outputs) > MaxOutputs {
		return "output", fmt.Errorf("%d of them, want 1 to %d", len(r.Outputs), MaxOutputs)
	}
	whole, members := map[string]bool{}, map[string]bool{}
	for i, o := range r.Outputs {
		key := fmt.Sprintf("output.%d.", i)
		switch {
		case !isFileName(o.Artifact):
			return key + "artifact", fmt.Errorf("%.80q is not the name of a file", o.Artifact)
		case o.Member != "" && (path.Clean(o.Member) != o.Member || path.IsAbs(o.Member) || strings.HasPrefix(o.Member, "..") || len(o.Member) > 4095):
			return key + "member", fmt.Errorf("%.80q is not the clean path of a member", o.Member)
		case whole[o.Artifact] || o.Member == "" && members[o.Artifact]:
			return key + "artifact", fmt.Errorf("%.80q is the artifact of two outputs: one file is made once, or all are members of it", o.Artifact)
		case members[o.Artifact+"\x00"+o.Member]:
			return key + "member", fmt.Errorf("%.80q is made by two outputs", o.Member)
		}
		if o.Member == "" {
			whole[o.Artifact] = true
		} else {
			members[o.Artifact], members[o.Artifact+"\x00"+o.Member] = true, true
		}
	}
	paths := make([]string, len(r.Outputs))
	for i, o := range r.Outputs {
		paths[i] = o.Path
	}
	i, err := checkPaths(paths, true)
	return fmt.Sprintf("output.%d.path", i), err
}

// checkPaths checks the paths of outputs and returns the index of a bad one.
// The same one may stand there twice where repeats is true.
func checkPaths(paths []string, repeats bool) (int, error) {
	for i, p := range paths {
		if !absolute(p) || p == "/" {
			return i, errPath(p)
		}
		for _, q := range paths[:i] {
			if p == q && repeats {
				continue
			}
			if within(p, q) || within(q, p) {
				return i, fmt.Errorf("%.80q overlaps %.80q", p, q)
			}
		}
	}
	return 0, nil
}

// isFileName is what an artifact of a release may be called (docs/spec/release-v1.md).
func isFileName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsAny(s, `/\`) && !strings.ContainsFunc(s, isControl)
}
