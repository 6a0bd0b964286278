package sandbox

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds on jobs themselves; what a job brings is bounded by its Limits.
const (
	maxLayers  = 1024
	maxInputs  = 65_536
	maxOutputs = 4096
	maxWords   = 1 << 20 // bytes of Argv and Env together
	maxID      = 1<<31 - 1
)

// maxHostname is what Linux takes (HOST_NAME_MAX).
const maxHostname = 64

// Check says what is wrong with the job, if anything, without looking at the
// files that it names.
func (j *Job) Check() error {
	for _, check := range []func() error{j.checkCommand, j.checkMachine, j.checkFiles, j.Limits.check} {
		if err := check(); err != nil {
			return fmt.Errorf("job: %w", err)
		}
	}
	return nil
}

func (j *Job) checkCommand() error {
	if len(j.Argv) == 0 || !absolute(j.Argv[0]) {
		return errors.New("argv must begin with an absolute path in the sandbox, like /bin/sh")
	}
	if !absolute(j.Dir) {
		return fmt.Errorf("dir %q must be a clean absolute path in the sandbox", j.Dir)
	}
	words, seen := 0, map[string]bool{}
	for _, w := range slices.Concat(j.Argv, j.Env) {
		if strings.ContainsRune(w, 0) {
			return errors.New("argv or env holds a zero byte")
		}
		words += len(w) + 1
	}
	if words > maxWords {
		return fmt.Errorf("argv and env take %d bytes, at most %d are allowed", words, maxWords)
	}
	for _, kv := range j.Env {
		k, _, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return fmt.Errorf("env %q is not KEY=VALUE", kv)
		}
		if seen[k] {
			return fmt.Errorf("env has %s twice", k)
		}
		seen[k] = true
	}
	return nil
}

func (j *Job) checkMachine() error {
	if j.UID < 0 || j.UID > maxID || j.GID < 0 || j.GID > maxID {
		return fmt.Errorf("uid %d or gid %d is out of range", j.UID, j.GID)
	}
	if j.CPUs < 1 || j.CPUs > 1024 {
		return fmt.Errorf("cpus is %d, want 1 to 1024", j.CPUs)
	}
	if j.Hostname == "" || len(j.Hostname) > maxHostname || strings.ContainsFunc(j.Hostname, notHost) {
		return fmt.Errorf("hostname %q must have 1 to %d letters, digits, dots and hyphens", j.Hostname, maxHostname)
	}
	if j.Clock.Before(time.Unix(0, 0)) || j.Clock.Nanosecond() != 0 || j.Clock.Year() > 2400 {
		return fmt.Errorf("clock %v must be whole seconds from 1970 on", j.Clock)
	}
	return nil
}

func notHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-'
}

func (j *Job) checkFiles() error {
	if len(j.Root) > maxLayers || len(j.Inputs) > maxInputs || len(j.Outputs) > maxOutputs {
		return fmt.Errorf("%d layers, %d inputs, %d outputs: at most %d, %d and %d are allowed",
			len(j.Root), len(j.Inputs), len(j.Outputs), maxLayers, maxInputs, maxOutputs)
	}
	for i, l := range j.Root {
		if (l.Tar == "") == (l.Dir == "") {
			return fmt.Errorf("layer %d must have either a tar file or a directory", i)
		}
		if l.At != "" && l.At != "/" && (!absolute(l.At) || ours(l.At)) {
			return fmt.Errorf("layer %d at %q: want a clean absolute path outside /proc, /dev and /sys", i, l.At)
		}
		if strings.ContainsAny(l.Dir, ",:\\") {
			return fmt.Errorf("layer %d: directory %q: a path with a comma, colon or backslash cannot be a layer", i, l.Dir)
		}
	}
	for _, in := range j.Inputs {
		if !absolute(in.At) || ours(in.At) || in.File == "" {
			return fmt.Errorf("input %q from %q: want a file, and a clean absolute path outside /proc, /dev and /sys", in.At, in.File)
		}
	}
	for i, out := range j.Outputs {
		if !absolute(out) || out == "/" || ours(out) {
			return fmt.Errorf("output %q must be a clean absolute path outside /proc, /dev and /sys", out)
		}
		for _, other := range j.Outputs[:i] {
			if within(out, other) || within(other, out) {
				return fmt.Errorf("outputs %q and %q overlap", other, out)
			}
		}
	}
	return nil
}

// check refuses limits that are missing: a forgotten field must not mean
// "without limit".
func (l Limits) check() error {
	for name, n := range map[string]int64{
		"memory": l.Memory, "processes": int64(l.Processes), "disk": l.Disk, "inodes": l.Inodes, "root": l.Root,
		"time": int64(l.Time), "cpu time": int64(l.CPUTime), "log bytes": l.LogBytes,
		"output bytes": l.OutputBytes, "output files": int64(l.OutputFiles), "open files": int64(l.OpenFiles),
	} {
		if n <= 0 {
			return fmt.Errorf("limit on %s is %d: there is no unlimited, begin with DefaultLimits", name, n)
		}
	}
	if l.Memory < 1<<20 || l.Disk < 1<<12 || l.CPUTime < time.Second || l.OpenFiles < 8 {
		return errors.New("limits are below what any command needs: memory 1 MiB, disk 4 KiB, cpu time 1 s, open files 8")
	}
	return nil
}

// env is the environment that the command gets.
func (j *Job) env() []string {
	env := slices.Clone(j.Env)
	for k, v := range map[string]string{"SOURCE_DATE_EPOCH": strconv.FormatInt(j.Clock.Unix(), 10), "HOME": "/"} {
		if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, k+"=") }) {
			env = append(env, k+"="+v)
		}
	}
	slices.Sort(env)
	return env
}

func absolute(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && !strings.ContainsRune(p, 0) && len(p) < 4096
}

// ours reports paths that belong to the sandbox, not to the job.
func ours(p string) bool {
	return within(p, "/proc") || within(p, "/dev") || within(p, "/sys")
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
